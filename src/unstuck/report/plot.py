"""A small curve in characters: skill as written against skill with the remedy."""

from __future__ import annotations

import math
from collections.abc import Sequence

from unstuck.report.sentences import last, number

HEIGHT = 7
FLOOR = -1.0
"""Skill below this is drawn at it: a network can be arbitrarily worse than a constant answer."""
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bits of a braille character by column and, from the top, by row."""


def plot(written: Sequence[float], treated: Sequence[float], steps: int, width: int, ascii: bool = False) -> list[str]:
    """Lines of text, at most `width` wide; none where there is too little to draw."""
    both = [v for v in (*written, *treated) if _known(v)]
    columns = min(width - 30, 64)
    if len(both) < 4 or columns < 16:
        return []
    low, high = max(min(0.0, *both), FLOOR), max(0.1, *both)
    marks = _cells(written, columns, low, high, "." if ascii else "\u00b7")
    over = _cells(treated, columns, low, high, "*") if ascii else _braille(treated, columns, low, high)
    rows = [[over[r][c] or marks[r][c] or " " for c in range(columns)] for r in range(HEIGHT)]
    names = _names(written, treated, low, high)
    ruler = [number(high, 2) if r == 0 else number(low, 2) if r == HEIGHT - 1 else "" for r in range(HEIGHT)]
    ruler[_row(0.0, low, high)] = "0"
    bar = "|" if ascii else "\u2502"
    lines = [f"{ruler[r]:>6} {bar}{''.join(rows[r])} {names.get(r, '')}".rstrip() for r in range(HEIGHT)]
    return [*lines, f"{'':8}{'0':<{columns - 12}}{f'{steps} steps' if steps else '':>12}".rstrip()]


def _known(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _row(value: float, low: float, high: float, height: int = HEIGHT) -> int:
    share = (min(max(value, low), high) - low) / (high - low)
    return min(height - 1, round((1 - share) * (height - 1)))


def _names(written: Sequence[float], treated: Sequence[float], low: float, high: float) -> dict[int, str]:
    """What each curve is, in the row of its end; one below the other where they end alike."""
    with_, without = last(tuple(treated)), last(tuple(written))
    names: dict[int, str] = {}
    for label, value in (("treated", with_), ("as written", without)):
        if value is not None:
            row = _row(value, low, high)
            free = next(r for r in (row, row + 1, row - 1) if r not in names and 0 <= r < HEIGHT)
            names[free] = f"{label} {number(value, 2)}"
    return names


def _at(values: Sequence[float], share: float) -> float | None:
    """The curve's height at a share of its length, on the straight line between its neighbours."""
    if not values:
        return None
    at = share * (len(values) - 1)
    left, right = values[int(at)], values[min(int(at) + 1, len(values) - 1)]
    if not _known(left) or not _known(right):
        return left if _known(left) else None
    return left + (right - left) * (at - int(at))


def _cells(values: Sequence[float], columns: int, low: float, high: float, mark: str) -> list[list[str]]:
    grid = [[""] * columns for _ in range(HEIGHT)]
    for column in range(columns):
        if (value := _at(values, column / (columns - 1))) is not None:
            grid[_row(value, low, high)][column] = mark
    return grid


def _braille(values: Sequence[float], columns: int, low: float, high: float) -> list[list[str]]:
    bits = [[0] * columns for _ in range(HEIGHT)]
    for dot in range(columns * 2):
        if (value := _at(values, dot / (columns * 2 - 1))) is not None:
            row = _row(value, low, high, HEIGHT * 4)
            bits[row // 4][dot // 2] |= DOTS[dot % 2][row % 4]
    return [[chr(0x2800 + b) if b else "" for b in row] for row in bits]
