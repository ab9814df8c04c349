"""What became of mutants, and the tables of that."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NEAR = 3
"""Lines between the change and the line of a finding: a call of several lines is reported at its first or its last."""


@dataclass(frozen=True)
class Row:
    """One mutant."""

    program: str
    operator: str
    fate: str
    """`fails`, `harmless`, or what became of one that hurts: `cause`, `suspect`, `hint`, `other cause`, `missed`;
    `no report` where the tool had written none when the limit came."""
    base: float | None = None
    result: float | None = None
    lines: tuple[int, ...] = ()
    state: str | None = None
    said: tuple[str, ...] = ()
    """Findings as role:fault:line."""
    line_right: bool = False
    mended: bool = False
    after: float | None = None
    """The result of the patched mutant."""
    cost: float = 0.0
    """Processor seconds under the tool, over those of the mutant alone."""


def hurts(row: Row) -> bool:
    """Whether a mutant ends, with a result that is worse."""
    return row.fate not in ("fails", "harmless")


def fate(found: list[dict], faults: tuple[str, ...]) -> str:
    """What became of a mutant, by the findings about it."""
    roles = {f["role"] for f in found if f["fault"] in faults}
    if named := next((role for role in ("cause", "suspect", "consequence") if role in roles), None):
        return "suspect" if named == "consequence" else named
    if any(f["role"] == "cause" for f in found):
        return "other cause"
    return "hint" if roles else "missed"


def near(line: int, lines: Iterable[int]) -> bool:
    """Whether a finding stands where the program was changed."""
    return any(abs(line - changed) <= NEAR for changed in lines)


def tables(rows: list[Row]) -> str:
    """By operator, then by program: how many hurt, and what became of those."""
    return "\n".join(_table(rows, key) for key in ("operator", "program"))


def _table(rows: list[Row], key: str) -> str:
    head = (key, "made", "fail", "harmless", "hurt", "named", "cause", "line right", "mended", "cost")
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, key), []).append(row)
    lines = [
        head,
        tuple("---" for _ in head),
        *(_line(name, part) for name, part in groups.items()),
        _line("all", rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _line(name: str, rows: list[Row]) -> tuple[str, ...]:
    hurt = [row for row in rows if hurts(row)]
    named, causes = [r for r in hurt if r.fate in ("cause", "suspect")], [r for r in hurt if r.fate == "cause"]
    cost = f"x{sorted(r.cost for r in hurt)[len(hurt) // 2]:.1f}" if hurt else ""
    fails, harmless = (sum(row.fate == fate for row in rows) for fate in ("fails", "harmless"))
    right, mended = sum(r.line_right for r in hurt), sum(r.mended for r in hurt)
    return (name, *map(str, (len(rows), fails, harmless, len(hurt), len(named), len(causes), right, mended)), cost)


def read(path: Path) -> list[Row]:
    """The rows of a file; of a mutant that was run twice, the last."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return list({(line["program"], line["operator"]): Row(**line) for line in lines}.values())
