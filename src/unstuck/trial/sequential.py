"""A sequential test of paired scores, with looks and error rates that are fixed before the first run. No torch.

After n pairs there are n scores of each program. Intervals of the difference of the means are taken at every look:

* after two pairs, Student's of two samples with one variance (2 degrees of freedom);
* later, Welch's of two samples, and Student's of the paired differences, where seeds may move both programs alike.

The probabilities of their tails add up, over all looks, to TAIL on each side (Bonferroni): the intersection of all
intervals so far covers the true difference with 95 %, whenever the trial stops. Where the mean difference lies outside
of it, the first runs happened to agree and later ones do not: the intervals of the last look stand alone then. So

* a difference is called one only where 0 is outside that intersection: at most 2.5 % false alarms for "better" and as
  many for "worse", over all looks together;
* "no difference" is said only where the intersection lies within the difference worth having, on both sides.

Two fifths of the error are spent at the first look, where most trials of a fault end. It takes it that seeds move both
programs by about as much, as they do where the change is harmless; where one of them does not vary at all, its tail is
4.5 % instead of 1 %.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance
from typing import Literal

from unstuck.diagnosis.few_lanes import quantile, upper_tail

TAIL = 0.025
"""Probability on each side of the interval, over all looks."""
FIRST = 0.4
"""Share of it that is spent at the first look: two pairs, with 2 degrees of freedom, need it."""
PAIRS = 8
"""Pairs at most, unless asked otherwise."""
LEAST_PAIRS = 2
FLOOR = 0.02
"""Standard deviation between seeds that is assumed at least: an accuracy over 600 rows has it at one half. Two runs
that happen to agree must not make a third certain."""

Answer = Literal["better", "worse", "same", "open"]


@dataclass(frozen=True)
class Evidence:
    """What the pairs so far show, on the scale of scores: higher is better."""

    answer: Answer
    difference: float
    """Of the means, changed minus original."""
    interval: tuple[float, float]
    """95 %, over all looks."""
    p: float
    """Of the direction that is seen, one-sided, times the share of errors that its look was given: below 0.025 where
    the interval excludes 0."""
    pairs: int


def looks(most: int) -> tuple[int, ...]:
    """After how many pairs the trial may end."""
    return tuple(n for n in range(LEAST_PAIRS, most + 1) if n <= 4 or n % 2 == 0 or n == most)


def weigh(before: Sequence[float], after: Sequence[float], most: int, worth: float) -> Evidence:
    """The evidence of paired scores, at all looks up to now."""
    difference = fmean(after) - fmean(before)
    taken = [list(_tests(before[:n], after[:n], most)) for n in looks(most) if n <= len(before)]
    p = min((test.p(difference >= 0) * TAIL / tail for look in taken for tail, test in look), default=1.0)
    low, high = _meeting([test for look in taken for test in look])
    if taken and not low <= difference <= high:  # the first pairs were not like the later ones
        low, high = _meeting(taken[-1])
    return Evidence(_answer(low, high, difference, worth), difference, (low, high), p, len(before))


def _meeting(tests: Sequence[tuple[float, _Mean]]) -> tuple[float, float]:
    """The intersection of the intervals."""
    below = max((test.below(tail) for tail, test in tests), default=-math.inf)
    return below, min((test.above(tail) for tail, test in tests), default=math.inf)


def _answer(low: float, high: float, difference: float, worth: float) -> Answer:
    if low > 0 and difference >= worth:
        return "better"
    if high < 0 and difference <= -worth:
        return "worse"
    return "same" if -worth < low and high < worth else "open"


_quantile = functools.cache(quantile)


@dataclass(frozen=True)
class _Mean:
    """A mean difference, its standard error and degrees of freedom."""

    mean: float
    error: float
    freedom: int

    def below(self, tail: float) -> float:
        return self.mean - _quantile(tail, self.freedom) * self.error

    def above(self, tail: float) -> float:
        return self.mean + _quantile(tail, self.freedom) * self.error

    def p(self, better: bool) -> float:
        return upper_tail((self.mean if better else -self.mean) / self.error, self.freedom)


def _tests(before: Sequence[float], after: Sequence[float], most: int) -> Iterator[tuple[float, _Mean]]:
    """The tests of one look, each with the probability that its tails have."""
    rest = len(looks(most)) - 1
    first = TAIL * FIRST if rest else TAIL
    if len(before) == LEAST_PAIRS:
        yield first, _pooled(before, after)
    else:
        share = (TAIL - first) / rest / 2
        yield share, _welch(before, after)
        yield share, _paired(before, after)


def _pooled(before: Sequence[float], after: Sequence[float]) -> _Mean:
    n = len(before)
    error = math.sqrt(max((variance(before) + variance(after)) / 2, FLOOR**2) * 2 / n)
    return _Mean(fmean(after) - fmean(before), error, 2 * n - 2)


def _welch(before: Sequence[float], after: Sequence[float]) -> _Mean:
    """Welch (1947), with a floor on each variance; degrees of freedom rounded down."""
    n = len(before)
    a, b = (max(variance(x), FLOOR**2) / n for x in (before, after))
    freedom = (n - 1) * (a + b) ** 2 / (a**2 + b**2)
    return _Mean(fmean(after) - fmean(before), math.sqrt(a + b), max(1, math.floor(freedom + 1e-9)))


def _paired(before: Sequence[float], after: Sequence[float]) -> _Mean:
    differences = [b - a for a, b in zip(before, after, strict=True)]
    return _Mean(fmean(differences), max(stdev(differences), FLOOR) / math.sqrt(len(before)), len(before) - 1)
