"""Paired comparison of so few lanes that no rank test can reach its level: Student's t, with a floor on the spread.

Under six pairs the exact signed-rank test ends at 1/64, and its interval is the whole axis. Skills of lanes are means
over hundreds of rows, so that their differences are near enough to normal. No torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from unstuck.diagnosis.skill import TIED

FEW = 6
"""Pairs up to which this test takes the place of the signed-rank one, whose smallest p is then above 0.01."""


def p_value(low: Sequence[float], high: Sequence[float]) -> float:
    """One-sided p of "high is above low"; 1 for fewer than two pairs, or pairs that are all equal."""
    differences = [h - lo for lo, h in zip(low, high, strict=True)]
    if len(differences) < 2 or not any(differences):
        return 1.0
    return upper_tail(fmean(differences) / _error(differences), len(differences) - 1)


def interval(low: Sequence[float], high: Sequence[float], tail: float) -> tuple[float, float]:
    """The interval of the mean difference that leaves out `tail` on each side; the whole axis for a single pair."""
    differences = [h - lo for lo, h in zip(low, high, strict=True)]
    if len(differences) < 2:
        return -math.inf, math.inf
    reach = quantile(tail, len(differences) - 1) * _error(differences)
    return fmean(differences) - reach, fmean(differences) + reach


def _error(differences: Sequence[float]) -> float:
    """Standard error of the mean; that two lanes agree by chance must not make a third certain."""
    return max(stdev(differences), TIED) / math.sqrt(len(differences))


def upper_tail(t: float, freedom: int) -> float:
    """P(T > t) for Student's t with a whole number of degrees of freedom (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    angle = math.atan(abs(t) / math.sqrt(freedom))
    odd = freedom % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= math.cos(angle) ** 2 * k / (k + 1)
    within = 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
    return (1 - within) / 2 if t >= 0 else (1 + within) / 2


def quantile(tail: float, freedom: int) -> float:
    """The t that leaves `tail` above it."""
    low, high = 0.0, 1e4
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if upper_tail(middle, freedom) > tail else (low, middle)
    return high
