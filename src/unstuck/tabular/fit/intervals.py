"""The uncertainty of scores: the bootstrap over held-out rows, or over groups of them (Efron 1979)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Array = np.ndarray
Measure = Callable[[Array], float]
"""A score, from the weights of the rows (n,)."""
LEVEL = 0.95
DRAWS = 500
"""Resamples: the ends of the interval then vary by about a tenth of its width."""
ROOM = 20_000_000
"""With more rows times resamples, fewer are drawn, but at least a hundred: intervals of many rows are short."""


def intervals(measures: Sequence[Measure], w: Array, units: Array | None = None) -> list[tuple[float, float]]:
    """The 95 % percentile interval of each measure on rows of weight w (n,). `units`, (n,): what is drawn with
    replacement instead of rows."""
    codes = np.arange(len(w)) if units is None else np.unique(units, return_inverse=True)[1]
    number = int(codes.max()) + 1
    rng = np.random.Generator(np.random.Philox(key=[0xB007, number]))
    found = []
    for _ in range(int(np.clip(ROOM / len(w), 100, DRAWS))):
        times = np.bincount(rng.integers(0, number, number), minlength=number)[codes]
        found.append(_each(measures, w * times))
    edge = (1 - LEVEL) / 2
    low, high = _quantiles(np.array(found), [edge, 1 - edge])
    return list(zip(low.tolist(), high.tolist(), strict=True))


def unbroken(value: float, ends: tuple[float, float], units: int) -> tuple[float, float]:
    """The interval of a share. No resample of rows that are all right contains an error: the end is then the exact
    bound of the binomial distribution."""
    low, high = ends
    bound = ((1 - LEVEL) / 2) ** (1 / max(units, 1))
    return (min(low, bound) if value == 1.0 else low), (max(high, 1 - bound) if value == 0.0 else high)


def _each(measures: Sequence[Measure], w: Array) -> list[float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return [measure(w) for measure in measures]


def _quantiles(found: Array, shares: list[float]) -> Array:
    """Of each column, without resamples for which a score does not exist (one class alone): (2, columns)."""
    columns = [column[np.isfinite(column)] for column in found.T]
    return np.array([np.quantile(one, shares) if len(one) else [np.nan, np.nan] for one in columns]).T
