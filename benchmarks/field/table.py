"""Rows as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.field.trial import Row

HEAD = ("program", "source", "steps", "exit code", "state", "above a hint", "stdout", "files", "time", "memory")


def table(rows: Iterable[Row]) -> str:
    """One line per program; `time` and `memory` are ratios to the plain run of the whole program."""
    lines = [HEAD, tuple("---" for _ in HEAD), *map(cells, rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cells(row: Row) -> tuple[str, ...]:
    """The cells of one line; time is processor time, so that other work on the machine hardly counts."""
    steps = "" if row.steps is None else f"{row.steps}{', cut' if row.cut else ''}"
    codes = f"{row.code}" if row.code == row.plain_code else f"{row.code} (plain {row.plain_code})"
    time = f"x{row.cpu / max(row.plain_cpu, 0.1):.1f}"
    memory = f"x{row.peak / max(row.plain_peak, 1):.2f} ({row.plain_peak} to {row.peak} MB)"
    files = ", ".join([*row.added, *row.touched]) or "unchanged"
    state = row.state or "none"
    return (row.name, row.source, steps, codes, state, ", ".join(row.loud) or "none", row.stdout, files, time, memory)
