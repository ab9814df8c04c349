"""Quantiles that are symmetric under reflection and count duplicate rows like weights."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
PARTS = 256
ENOUGH = 20_000
"""Maximum number of rows sorted; more are subsampled at equal distances."""


def quantiles(x: Array, weights: Array | None = None) -> Array:
    """The 0/256 ... 256/256 quantiles of each column of x (n, d): (d, 257), in float64; missing values are ignored.

    The midpoint between the lowest and the highest value that divide the rows at that share: reflecting the column
    reflects the quantiles, and a row of weight w counts exactly as w rows. A column without values gives zeros.
    """
    every = slice(None, None, max(1, len(x) // ENOUGH))
    x = x[every]
    weights = None if weights is None else weights[every]
    return np.stack([_column(x[:, j], weights) for j in range(x.shape[1])]) if x.shape[1] else np.zeros((0, PARTS + 1))


def _column(values: Array, weights: Array | None) -> Array:
    there = np.isfinite(values)
    values = values[there].astype(np.float64)
    if not len(values):
        return np.zeros(PARTS + 1)
    if weights is None:
        values.sort()
        low, high = _plain(len(values))
    else:
        order = np.argsort(values, kind="stable")
        values = values[order]
        low, high = _weighted(weights[there][order])
    return values[low] * 0.5 + values[high] * 0.5


def _plain(n: int) -> tuple[Array, Array]:
    # Of n equal rows, row i (from 0) covers the shares i/n .. (i+1)/n; integer arithmetic avoids rounding.
    share = np.arange(PARTS + 1) * n
    return np.maximum(-(-share // PARTS) - 1, 0), np.minimum(share // PARTS, n - 1)


def _weighted(weights: Array) -> tuple[Array, Array]:
    total = np.cumsum(weights)
    share = np.arange(PARTS + 1) / PARTS * total[-1]
    some = np.flatnonzero(weights > 0)
    low = np.maximum(np.searchsorted(total, share, side="left"), some[0])
    return low, np.minimum(np.searchsorted(total, share, side="right"), some[-1])
