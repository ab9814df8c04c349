"""Rounding that is stable under a change of units, and the sign of columns with symmetric tails.

Cell borders must not coincide with typical data. Whole numbers whose quartiles are 16384 apart lie exactly halfway
between the points of a grid of 1/4096, where the last bit of a division would decide; the cells are therefore shifted
by an irrational part of a step. Values that must flip with their column are rounded by absolute value and keep their
sign.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
SHIFT = 0.5**0.5 - 0.5
"""Shift of the cell borders, in steps. The grid points, 0 among them, do not move."""
NOTHING = 1e-6
"""Sums of grid values that should cancel are below this."""
TURNS = 512
"""Number of mixing rounds per row, whatever the number of columns."""
MIX = np.uint64(0x9E3779B97F4A7C15)


def snapped(z: Array, step: float, edge: float) -> Array:
    """Rounded to 0, +-step, +-2 step ... within +-edge; never -0.0, because rows are compared by their bits."""
    return np.clip(np.rint(z / step + SHIFT) * step, -edge, edge) + 0.0


def evenly(z: Array, step: float) -> Array:
    """The same, symmetric: -z is rounded to minus the rounded z."""
    return np.sign(z) * np.rint(np.abs(z) / step + SHIFT) * step + 0.0


def leading(values: Array) -> Array:
    """(d,): the sign of the largest absolute value of each row of values (d, q) on a grid, the first on ties; 0.0 if
    all are 0 or missing, or there are none."""
    if not values.size:
        return np.zeros(len(values))
    there = np.where(np.isnan(values), 0.0, values)
    return np.sign(np.take_along_axis(there, np.abs(there).argmax(axis=1)[:, None], axis=1)[:, 0])


def directions(z: Array, columns: Array, weights: Array | None = None, beside: Array | None = None) -> Array:
    """A sign for each of some `columns` of z (n, d), grid values that flip with their column.

    It is taken from the rows that come first in an order that ignores signs; so it flips with its column and does not
    depend on the order of the rows. `beside` (n, k) takes part in that order. Columns in which even this cancels take
    the sign of their first row.
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
    """A 64-bit hash of each row of a table (n, d) of 32-bit values."""
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
