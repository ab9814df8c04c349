"""Estimate whether a table fits into memory."""

from __future__ import annotations

from pathlib import Path

from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.tables import Table

WORD = 64
"""Approximate bytes of a text cell: equal texts share their characters."""
UNKNOWN = 2
"""Bytes of numbers per byte of a text file with an unknown number of rows."""
PACKED = 5
"""Typical compression ratio."""
SHARE, MOST = 0.5, 1e9
"""Maximum share of the free memory, and maximum bytes, of a table held in memory: training needs as much again, and a
larger table is read in slabs with nearly the same result."""


def fits(table: Table, roles: Roles) -> bool:
    """Whether all inputs fit in memory."""
    return needed(table, roles) <= min(SHARE * free(), MOST)


def needed(table: Table, roles: Roles) -> float:
    """Approximate bytes of the inputs."""
    if table.rows is not None:
        return float(table.rows) * (8 * roles.width + WORD * len(roles.words))
    return UNKNOWN * sum(_unpacked(Path(source.file)) for source in table.sources)


def _unpacked(file: Path) -> float:
    size = file.stat().st_size if file.is_file() else 0
    return size * (PACKED if file.suffix.lower() in (".gz", ".bz2", ".zst", ".lz4") else 1)


def free() -> float:
    """Bytes of free memory; infinite if unknown."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            return next(1024.0 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return float("inf")
