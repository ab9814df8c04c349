"""Rounding that a change of units cannot upset, and the direction of columns whose two tails are alike.

A grid's cells must not end where data likes to lie. Whole numbers whose quartiles are 16384 apart lie exactly halfway
between the points of a grid of 1/4096, and there the last bit of a division would decide; so the cells are shifted by
an irrational part of a step. What is to turn round with its column is rounded by size, and gets its sign back.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
SHIFT = 0.5**0.5 - 0.5
"""Of the cells, in steps. The points stay, 0 among them."""
NOTHING = 1e-6
"""Sums of values on a grid that are meant to cancel out come to less than this."""
TURNS = 512
"""A row is stirred at most about twice as often, however many columns it has."""
MIX = np.uint64(0x9E3779B97F4A7C15)


def snapped(z: Array, step: float, edge: float) -> Array:
    """On the points 0, +-step, +-2 step ... within +-edge; a zero has no sign, as rows are told apart by bits."""
    return np.clip(np.rint(z / step + SHIFT) * step, -edge, edge) + 0.0


def evenly(z: Array, step: float) -> Array:
    """Likewise, and -z comes out as minus what z does."""
    return np.sign(z) * np.rint(np.abs(z) / step + SHIFT) * step + 0.0


def leading(values: Array) -> Array:
    """(d,): the sign of the largest of each row of values (d, q) on a grid, the first of equals; 0.0 where all are 0 or
    missing, or there is none."""
    if not values.size:
        return np.zeros(len(values))
    there = np.where(np.isnan(values), 0.0, values)
    return np.sign(np.take_along_axis(there, np.abs(there).argmax(axis=1)[:, None], axis=1)[:, 0])


def directions(z: Array, columns: Array, weights: Array | None = None, beside: Array | None = None) -> Array:
    """A sign for each of some `columns` of z (n, d), values on a grid that turn round with their column.

    It is that of the rows which come first when rows are put in an order that knows of no signs; so it turns with its
    column, and does not ask in which order the rows came. `beside` (n, k) takes part in that order. Columns in which
    even so everything cancels out follow their first row.
    """
    w = np.ones(len(z)) if weights is None else weights
    sizes = np.where(np.isfinite(z), np.abs(z), -1.0)
    sizes = sizes if beside is None else np.concatenate([sizes, np.abs(beside)], axis=1)
    mark = marks(sizes.astype(np.float32))[w > 0]
    group = np.unique(mark, return_inverse=True)[1]
    told = np.where(np.isfinite(z[:, columns]), z[:, columns], 0.0)[w > 0]
    return np.array([_direction(one, w[w > 0], group) for one in told.T])


def _direction(z: Array, w: Array, group: Array) -> float:
    sums = np.bincount(group, z * w)
    some = sums[np.abs(sums) > NOTHING]
    some = some if len(some) else z[z != 0]
    return float(np.sign(some[0])) if len(some) else 1.0


def marks(table: Array) -> Array:
    """64 bits of each row of a table (n, d) of 32 bits each."""
    table = np.ascontiguousarray(table)
    words = table.view(np.uint32).reshape(len(table), -1)
    out = np.zeros(len(table), np.uint64)
    keys = np.random.Generator(np.random.Philox(key=[0xA, 0xB])).integers(1, 2**63, words.shape[1], dtype=np.uint64)
    keys, width = keys * np.uint64(2) + np.uint64(1), max(1, words.shape[1] // TURNS)
    for at in range(0, words.shape[1], width):
        out += ((words[:, at : at + width] + np.uint64(1)) * keys[at : at + width]).sum(axis=1)
        out ^= out >> np.uint64(29)
        out *= MIX
    return out
