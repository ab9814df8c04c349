"""Line charts and bars in text."""

from __future__ import annotations

import math
from collections.abc import Sequence

HEIGHT, COLUMNS = 9, 60
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bits of a braille character by column and, from the top, by row."""
BAR = 24


def curves(train: Sequence[float], held: Sequence[float], width: int, ascii: bool = False) -> list[str]:
    """Two loss curves by epoch, on a logarithmic scale if the range is large; empty if there are too few epochs."""
    both = [v for v in (*train, *held) if math.isfinite(v)]
    columns = min(width - 32, COLUMNS)
    if len(held) < 3 or not both or columns < 16:
        return []
    log = min(both) > 0 and max(both) / min(both) > 8
    up = math.log if log else float
    low, high = up(min(both)), up(max(both))
    high = high if high > low else low + 1
    at = lambda v: (up(v) - low) / (high - low)
    grid = _dotted([at(v) for v in held], columns, ascii)
    for c, row in _places([at(v) for v in train], columns):
        grid[row][c] = grid[row][c] or ("." if ascii else "·")
    mark, bar = ("*", "|") if ascii else ("⠒", "│")
    heads = {0: f"{max(both):.3g}", HEIGHT - 1: f"{min(both):.3g}"}
    names = {
        0: f"{mark} held out, lowest {min(held):.4g}",
        1: f"{'.' if ascii else '·'} training, {train[_least(held)]:.4g} at that epoch",
    }
    lines = [
        f"{heads.get(r, ''):>8} {bar}{''.join(c or ' ' for c in grid[r])} {names.get(r, '')}".rstrip()
        for r in range(HEIGHT)
    ]
    scale = " (logarithmic)" if log else ""
    return [*lines, f"{'':10}{'1':<{columns - 12}}{f'{len(held)} epochs':>12}{scale}"]


def _least(held: Sequence[float]) -> int:
    return min(range(len(held)), key=lambda i: held[i])


def _row(share: float, height: int) -> int:
    return min(max(round((1 - share) * (height - 1)), 0), height - 1)


def _between(values: Sequence[float], share: float) -> float:
    at = share * (len(values) - 1)
    left, right = values[int(at)], values[min(int(at) + 1, len(values) - 1)]
    return left + (right - left) * (at - int(at))


def _places(values: Sequence[float], columns: int) -> list[tuple[int, int]]:
    heights = [(c, _between(values, c / (columns - 1))) for c in range(columns)]
    return [(c, _row(v, HEIGHT)) for c, v in heights if math.isfinite(v)]


def _dotted(values: Sequence[float], columns: int, ascii: bool) -> list[list[str]]:
    if ascii:
        grid = [[""] * columns for _ in range(HEIGHT)]
        for c, row in _places(values, columns):
            grid[row][c] = "*"
        return grid
    bits = [[0] * columns for _ in range(HEIGHT)]
    for dot in range(columns * 2):
        value = _between(values, dot / (columns * 2 - 1))
        if math.isfinite(value):
            row = _row(value, HEIGHT * 4)
            bits[row // 4][dot // 2] |= DOTS[dot % 2][row % 4]
    return [[chr(0x2800 + b) if b else "" for b in line] for line in bits]


def gauge(said: float, came: float, ascii: bool = False) -> str:
    """A bar for the observed share, with a mark at the predicted one."""
    full, mark, empty = ("=", "|", ".") if ascii else ("█", "│", "·")
    cells = [full if (c + 0.5) / BAR <= came else empty for c in range(BAR)]
    cells[min(int(said * BAR), BAR - 1)] = mark
    return "".join(cells)
