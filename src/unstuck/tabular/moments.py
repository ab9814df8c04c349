"""Mean, spread and range per column, computed in parts that can be merged. numpy only.

Computed in float64 relative to the middle of the range, so that a column far from zero keeps the digits of its spread,
and a constant column has a spread of exactly 0. Parts are merged by the formula of Chan, Golub and LeVeque (1979).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BLOCK = 1 << 18
"""Numbers converted to float64 at once (2 MiB); the whole table never is."""
NARROW = 64
"""Below this many columns a block is stored column by column, because reductions over short rows are slow."""
LARGE, SMALL = 1e140, 1e-140
"""Deviations outside this range are scaled, because their squares would over- or underflow float64."""
NOISE = 8 * np.finfo(np.float64).eps
"""A spread below this share of the column's largest number is rounding error, not data."""

Column = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Statistics of d columns; every field is a read-only float64 array (d,).

    NaN and infinities are missing values: they are counted in `missing` and ignored otherwise. A column without numbers
    has mean 0, spread 0, min +inf and max -inf. Squares cannot overflow up to a range of 1e308 within a column.
    """

    count: Column
    """Number of finite values (the sum of their weights, if rows are weighted)."""
    missing: Column
    """Number of NaN and infinite values."""
    infinite: Column
    """Number of infinite values."""
    mean: Column
    rest: Column
    """The part of the mean below its last digit: merging a column at 1e9 with spread 1e-3 needs it."""
    spread: Column
    """The population standard deviation."""
    min: Column
    max: Column

    def __post_init__(self) -> None:
        for field in fields(self):
            getattr(self, field.name).setflags(write=False)

    @classmethod
    def none(cls, d: int) -> Moments:
        """Of d columns without rows; the neutral element of `merge`."""
        zero = lambda: np.zeros(d)
        return cls(zero(), zero(), zero(), zero(), zero(), zero(), np.full(d, np.inf), np.full(d, -np.inf))

    @classmethod
    def of(cls, x: ArrayLike, weights: ArrayLike | None = None) -> Moments:
        """Of x: (n, d), any real dtype; a row of weight w (n weights, >= 0) counts as w rows, one of weight 0 is
        ignored.

        Raises ValueError for another shape or dtype, and for weights that are negative or not finite.
        """
        table = np.asarray(x)
        if table.ndim != 2 or table.dtype.kind not in "buif":
            raise ValueError(f"moments need (rows, columns) of real numbers, not {table.dtype} {table.shape}")
        weigh = None if weights is None else _weights(weights, len(table))
        whole = cls.none(table.shape[1])
        for rows in _blocks(*table.shape):
            whole = whole.merge(_measured(table[rows], weigh if weigh is None else weigh[rows]))
        return whole

    def merge(self, other: Moments) -> Moments:
        """Of the rows of both. Raises ValueError if the numbers of columns differ."""
        if self.d != other.d:
            raise ValueError(f"moments of {self.d} and of {other.d} columns cannot be merged")
        count = self.count + other.count
        share = other.count / np.where(count > 0, count, 1)
        apart, low = _sum(other.mean, -self.mean)
        low = low + (other.rest - self.rest)
        mean, rest = _sum(self.mean, apart * share)
        within = np.hypot(self.spread * np.sqrt(1 - share), other.spread * np.sqrt(share))
        return Moments(
            count,
            self.missing + other.missing,
            self.infinite + other.infinite,
            *_sum(mean, rest + (self.rest + low * share)),
            np.hypot(within, (apart + low) * np.sqrt(share * (1 - share))),
            np.minimum(self.min, other.min),
            np.maximum(self.max, other.max),
        )

    @property
    def d(self) -> int:
        return len(self.count)

    @property
    def constant(self) -> NDArray[np.bool_]:
        """(d,): whether the column has at most one value, up to float64 rounding."""
        return ~(self.spread > NOISE * np.maximum(np.abs(self.min), np.abs(self.max)))

    def take(self, columns: ArrayLike) -> Moments:
        """Of some of the columns: their indices, or a mask (d,)."""
        return Moments(*(getattr(self, field.name)[np.asarray(columns)] for field in fields(self)))

    def packed(self) -> NDArray[np.float64]:
        """As one array (fields, d), for storage or sending."""
        return np.stack([getattr(self, field.name) for field in fields(self)])

    @classmethod
    def unpacked(cls, packed: ArrayLike) -> Moments:
        """From `packed()`; raises ValueError for another shape."""
        rows = np.array(packed, dtype=np.float64)
        if rows.ndim != 2 or len(rows) != len(fields(cls)):
            raise ValueError(f"packed moments have {len(fields(cls))} rows, not the shape {rows.shape}")
        return cls(*rows)


def _weights(weights: ArrayLike, n: int) -> Column:
    given = np.asarray(weights, dtype=np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or (given < 0).any():
        raise ValueError(f"weights must be {n} finite numbers, none negative")
    return given


def _blocks(n: int, d: int) -> Iterator[slice]:
    size = max(1, BLOCK // max(d, 1))
    return (slice(start, start + size) for start in range(0, n, size))


def _measured(block: NDArray, weights: Column | None) -> Moments:
    """Of one block, in two passes relative to the middle of its range."""
    if weights is not None:
        block, weights = block[weights > 0], weights[weights > 0]
    if not len(block):
        return Moments.none(block.shape[1])
    y = np.array(block, dtype=np.float64, order="F" if block.shape[1] < NARROW else "C")
    weigh = np.ones(len(y)) if weights is None else weights
    low, high = y.min(axis=0), y.max(axis=0)
    if np.isfinite(low).all() and np.isfinite(high).all():  # a NaN would show in both, an infinity in one
        total = np.full(y.shape[1], weigh.sum())
        return _around(y, weigh, _Seen(total, np.zeros_like(total), np.zeros_like(total), low, high), None)
    finite = np.isfinite(y)
    count, infinite = weigh @ finite, weigh @ np.isinf(y)
    low, high = np.where(finite, y, np.inf).min(axis=0), np.where(finite, y, -np.inf).max(axis=0)
    return _around(y, weigh, _Seen(count, weigh.sum() - count, infinite, low, high), ~finite)


class _Seen(NamedTuple):
    """The first pass over a block."""

    number: Column
    missing: Column
    infinite: Column
    low: Column
    high: Column


def _around(y: NDArray, weigh: Column, seen: _Seen, gaps: NDArray[np.bool_] | None) -> Moments:
    """The second pass; overwrites `y`. `gaps`: where it is not finite, None if nowhere."""
    some = seen.number > 0
    low, high = np.where(some, seen.low, 0.0), np.where(some, seen.high, 0.0)
    middle = low * 0.5 + high * 0.5  # halved first: the sum could overflow
    divide = np.where(some, seen.number, 1)
    _centred(y, middle, gaps)
    unit = _unit(high * 0.5 - low * 0.5)
    if unit is not None:
        y /= unit
    step = weigh @ y / divide
    _centred(y, step, gaps)
    y *= y
    spread = np.sqrt(weigh @ y / divide)
    if unit is not None:
        spread, step = spread * unit, step * unit
    return Moments(seen.number, seen.missing, seen.infinite, *_sum(middle, step), spread, seen.low, seen.high)


def _centred(y: NDArray, at: Column, gaps: NDArray[np.bool_] | None) -> None:
    if gaps is not None:
        y[gaps] = 0.0
    y -= at
    if gaps is not None:
        y[gaps] = 0.0


def _unit(half: Column) -> Column | None:
    """Powers of two by which to divide the deviations of each column; None if not needed."""
    extreme = (half > LARGE) | ((half < SMALL) & (half > 0))
    return np.where(extreme, np.ldexp(1.0, np.frexp(half)[1] - 1), 1.0) if extreme.any() else None


def _sum(a: Column, b: Column) -> tuple[Column, Column]:
    """a + b and its rounding error (Knuth's two-sum)."""
    total = a + b
    back = total - a
    return total, (a - (total - back)) + (b - back)
