"""Whether a table fits into memory."""

from __future__ import annotations

from pathlib import Path

from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.tables import Table

WORD = 64
"""Bytes that a text takes in a row, about: its own are shared between equal ones."""
UNKNOWN = 2
"""Bytes of numbers for a byte of a text file whose rows nobody has counted."""
PACKED = 5
"""... and how much longer a compressed one is when it is unpacked."""
SHARE, MOST = 0.5, 1e9
"""Of the memory that is free, what the table may take, and the bytes that it may take at most: to train, as much again
and more is needed, and what is larger is read in slabs for nearly the same answers."""


def fits(table: Table, roles: Roles) -> bool:
    """Whether the inputs may be held in memory as a whole."""
    return needed(table, roles) <= min(SHARE * free(), MOST)


def needed(table: Table, roles: Roles) -> float:
    """Bytes that the inputs take, about."""
    if table.rows is not None:
        return float(table.rows) * (8 * roles.width + WORD * len(roles.words))
    return UNKNOWN * sum(_unpacked(Path(source.file)) for source in table.sources)


def _unpacked(file: Path) -> float:
    size = file.stat().st_size if file.is_file() else 0
    return size * (PACKED if file.suffix.lower() in (".gz", ".bz2", ".zst", ".lz4") else 1)


def free() -> float:
    """Bytes of memory that are free; infinite where the system does not say."""
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            return next(1024.0 * int(line.split()[1]) for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return float("inf")
