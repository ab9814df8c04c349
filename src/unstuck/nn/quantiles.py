"""Streaming quantiles per column, mergeable and deterministic. numpy only.

A stack of levels; a row at level l represents 2^l rows. A level with more than `size` rows is sorted column by column,
and every second row moves up (starting with the first and the second in turn). One such step shifts a rank by at most
2^l, so after n rows a quantile's rank is off by at most n * levels / size: 0 up to `size` rows, 0.2 % for a million and
0.45 % for a billion at size 4096 (in practice far less, because the errors cancel).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from unstuck.tabular.moments import Moments

SIZE = 4096
HEAD = len(Moments.none(0).packed())


@dataclass(frozen=True, eq=False)
class Quantiles:
    """A sample of the rows seen, and their moments. Quantiles ignore NaN and infinities."""

    moments: Moments
    levels: tuple[NDArray, ...] = ()
    """Level l: (rows, d), each representing 2^l; missing values are NaN."""
    size: int = field(default=SIZE, kw_only=True)
    """Maximum rows of a level."""

    @classmethod
    def of(cls, x: NDArray, size: int = SIZE) -> Quantiles:
        """From x: (n, d), of any real dtype."""
        moments = Moments.of(x)
        numbers = np.array(x, dtype=np.result_type(x.dtype, np.float32))
        numbers[~np.isfinite(numbers)] = np.nan
        return _settled(cls(moments, (numbers,), size=size))

    def merge(self, other: Quantiles) -> Quantiles:
        """Of the rows of both; the error is bounded by the larger of the two numbers of levels."""
        height = max(len(self.levels), len(other.levels))
        both = [[q.levels[at] for q in (self, other) if at < len(q.levels)] for at in range(height)]
        levels = tuple(np.concatenate(parts) for parts in both)
        return _settled(Quantiles(self.moments.merge(other.moments), levels, size=self.size))

    def at(self, *shares: float) -> NDArray[np.float64]:
        """(len(shares), d): the quantiles, interpolated linearly between ranks; NaN for a column without a number."""
        values = np.concatenate([*self.levels, np.empty((0, self.moments.d))])
        order = np.argsort(values, axis=0, kind="stable")
        weights = np.concatenate([np.full(len(rows), 2.0**at) for at, rows in enumerate(self.levels)] or [np.empty(0)])
        columns = [_interpolated(values[o, j], weights[o], shares) for j, o in enumerate(order.T)]
        return np.array(columns).reshape(self.moments.d, len(shares)).T

    def packed(self) -> NDArray[np.float64]:
        """As one array (rows, d + 1), whose first column holds the weights (0 for the moments)."""
        head = np.insert(self.moments.packed(), 0, 0.0, axis=1)
        return np.concatenate([head, *(np.insert(r.astype(float), 0, 2.0**at, 1) for at, r in enumerate(self.levels))])

    @classmethod
    def unpacked(cls, packed: NDArray, size: int = SIZE) -> Quantiles:
        """From `packed()`."""
        moments, body = Moments.unpacked(packed[:HEAD, 1:]), packed[HEAD:]
        height = int(np.log2(body[:, 0].max())) + 1 if len(body) else 0
        levels = tuple(body[body[:, 0] == 2.0**at, 1:] for at in range(height))
        return _settled(cls(moments, levels, size=size))


def _settled(full: Quantiles) -> Quantiles:
    """Halve each level that is too large, from the lowest up."""
    levels, seen, at = list(full.levels), int((full.moments.count + full.moments.missing).max(initial=0)), 0
    while at < len(levels):
        if len(levels[at]) > full.size:
            pairs = len(levels[at]) // 2 * 2
            turn = (seen >> at) // full.size & 1
            up = np.sort(levels[at][:pairs], axis=0)[turn::2]
            levels[at] = levels[at][pairs:]
            levels[at + 1 :] = [np.concatenate([*levels[at + 1 : at + 2], up]), *levels[at + 2 :]]
        at += 1
    return Quantiles(full.moments, tuple(levels), size=full.size)


def _interpolated(values: NDArray, weights: NDArray, shares: tuple[float, ...]) -> NDArray[np.float64]:
    """Interpolate one sorted column with NaN last. A value of weight w is at the middle of its w ranks."""
    number = len(values) - int(np.isnan(values).sum())
    if not number:
        return np.full(len(shares), np.nan)
    ends = np.cumsum(weights[:number])
    return np.interp(np.array(shares) * (ends[-1] - 1), ends - (weights[:number] + 1) / 2, values[:number])
