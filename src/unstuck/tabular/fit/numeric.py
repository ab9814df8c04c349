"""Encode numeric columns independently of their units.

Every column is centred, scaled, given a sign that depends only on its shape, and rounded to a grid. A map
x -> a x + b of a column then leaves the network's inputs bit-identical: rounding errors are about 1e-13 of the column's
spread, the grid's step is 2.4e-4 of it, and fewer than one value in a hundred million lies that close to a cell border.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from statistics import NormalDist

import numpy as np

from unstuck.tabular.fit.grid import directions, evenly, leading, snapped
from unstuck.tabular.fit.quantiles import ENOUGH, PARTS, quantiles
from unstuck.tabular.moments import Moments

Array = np.ndarray
GRID = 2.0**-12
"""The step of the grid in units of the column's spread: far coarser than rounding errors, far finer than noise."""
FAR = 2.0**11
"""Standardised values are clipped here, so that float32 represents every grid point."""
MANY = 256
"""Above this many columns, only mean and spread are measured: pixels need no quantiles."""
SOME = 1 << 21
"""Most numbers that are compared to choose a sign."""
BLOCK = 1 << 14
"""Numbers encoded at once: the intermediate values then stay in the cache."""
FLAT = 1e-9
"""Half the rows are equal if the interquartile range is below this share of the spread."""
KNEE = 3.0
BINS = 8
VIEWS = ("smooth", "normal", "steps", "straight")


@dataclass(frozen=True, eq=False)
class Numeric:
    """Measurements of the columns that vary: all arrays are (kept,), except `knots` (kept, 257 or 0)."""

    kept: Array
    """Column numbers of those that vary; constant columns carry no information."""
    centre: Array
    scale: Array
    sign: Array
    gaps: Array
    """Whether values were missing in training; such a column gets an extra input that marks them."""
    knots: Array
    """Quantiles of the standardised values."""

    @classmethod
    def of(cls, x: Array, weights: Array | None = None, beside: Array | None = None) -> Numeric:
        """Measure x (n, d), float; NaN and infinities are missing; a row of weight w counts as w rows. `beside`, (n, k)
        without signs, helps to distinguish rows."""
        return cls.seen(Moments.of(x, weights), x, weights, beside)

    @classmethod
    def seen(cls, found: Moments, x: Array, weights: Array | None = None, beside: Array | None = None) -> Numeric:
        """From the moments of all rows, and a sample x (n, d) for the quantiles."""
        kept = np.flatnonzero(~found.constant)
        found = found.take(kept)
        if len(kept) > MANY:
            middle = Measured(found.mean, found.spread, np.zeros((len(kept), 0)))
        else:
            middle = measured(x[:, kept], weights, found)
        first = cls(kept, middle.centre, middle.scale, np.ones(len(kept)), found.missing > 0, middle.knots)
        middle = (found.mean - (found.min / 2 + found.max / 2)) / first.scale
        return first._signed(x, weights, beside, middle)

    def _signed(self, x: Array, weights: Array | None, beside: Array | None, middle: Array) -> Numeric:
        """Choose the sign that makes the longer tail point up, by the quantiles or, without them, by the position of
        the mean in the range; if both tails are equal, by a row."""
        knots = (self.knots - self.centre[:, None]) / self.scale[:, None]
        tails = evenly(knots + knots[:, ::-1] if knots.size else middle[:, None], GRID)
        sign = leading(tails)
        if len(even := np.flatnonzero(sign == 0)):
            some = slice(None, None, max(1, len(x) // ENOUGH, x.size // SOME))
            rows = evenly(self._moved(x[some]), GRID)
            sign[even] = directions(rows, even, *(None if a is None else a[some] for a in (weights, beside)))
        turned = snapped(np.where(sign[:, None] < 0, -knots[:, ::-1], knots), GRID, FAR)
        return Numeric(self.kept, self.centre, self.scale, sign, self.gaps, turned)

    def standard(self, x: Array) -> Array:
        """The standardised values on the grid, (n, kept) float64; NaN where missing."""
        return snapped(self._moved(x), GRID, FAR)

    def _moved(self, x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            own = x if len(self.kept) == x.shape[1] else x[:, self.kept]
            z = (own.astype(np.float64, copy=False) - self.centre) / self.scale * self.sign
        return np.where(np.isfinite(z), z, np.nan)

    def encode(self, x: Array, views: tuple[str, ...]) -> Array:
        """The network's inputs, (n, width(views)) float32, in blocks of rows because the intermediate values are
        float64."""
        size = max(1, BLOCK // max(len(self.kept), 1))
        parts = [self.seen_as(self.standard(x[at : at + size]), views) for at in range(0, max(len(x), 1), size)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def seen_as(self, z: Array, views: tuple[str, ...]) -> Array:
        """The same, from standardised values (n, kept), which float32 represents exactly."""
        holes = np.isnan(z)
        z = np.where(holes, 0.0, z) if holes.any() else z.astype(np.float64, copy=False)
        parts = [_VIEWS[view](z, self.knots) for view in views]
        if self.gaps.any():
            parts.append(holes[:, self.gaps] * 1.0)
        return np.concatenate(parts, axis=1, dtype=np.float32)

    def width(self, views: tuple[str, ...]) -> int:
        """The number of inputs."""
        return self.encode(np.zeros((0, int(self.kept.max(initial=-1)) + 1)), views).shape[1]

    def state(self) -> dict[str, Array]:
        """The arrays, for storage."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Measured:
    """Centre, scale and quantiles of columns, in their own units."""

    centre: Array
    scale: Array
    knots: Array


def measured(x: Array, weights: Array | None, found: Moments) -> Measured:
    """The median and the interquartile range; mean and standard deviation if half the rows are equal."""
    knots = quantiles(x, weights)
    centre, between = knots[:, PARTS // 2], knots[:, 3 * PARTS // 4] - knots[:, PARTS // 4]
    flat = ~(between > FLAT * found.spread)
    return Measured(np.where(flat, found.mean, centre), np.where(flat, found.spread, between), knots)


def _smooth(z: Array, knots: Array) -> Array:
    """Linear near 0 and bounded by +-KNEE, so that outliers do not dominate."""
    return z / np.sqrt(1 + np.square(z / KNEE))


def _normal(z: Array, knots: Array) -> Array:
    """The normal score of the rank: spreads out values that span orders of magnitude."""
    return np.stack([_scored(z[:, j], knots[j]) for j in range(z.shape[1])], axis=1) if z.shape[1] else z


def _scored(z: Array, knots: Array) -> Array:
    return np.interp(z, *normal_scores(knots))


def normal_scores(knots: Array) -> tuple[Array, Array]:
    """The distinct quantiles of a column, and the normal scores of their ranks, between which is interpolated."""
    at, first, times = np.unique(knots, return_index=True, return_counts=True)
    return at, _scores()[2 * first + times - 1]


@cache
def _scores() -> Array:
    """The normal scores of the ranks between 257 quantiles, in halves of a rank."""
    return np.array([NormalDist().inv_cdf(0.002 + 0.996 * rank / 2 / PARTS) for rank in range(2 * PARTS + 1)])


def _steps(z: Array, knots: Array) -> Array:
    """Piecewise-linear encoding: one input per eighth of the rows (Gorishniy et al. 2022)."""
    edges = knots[:, :: PARTS // BINS]
    low, width = edges[:, :-1], np.diff(edges, axis=1)
    some = width > 0
    rise = np.clip((z[:, :, None] - low) / np.where(some, width, 1.0), 0.0, 1.0) - 0.5
    return rise[:, some]


_VIEWS = {"smooth": _smooth, "normal": _normal, "steps": _steps, "straight": lambda z, knots: z}
