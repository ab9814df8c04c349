"""Rows that look mislabelled, and columns that look like leaks of the target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from unstuck.tabular.fit.explain.units import Unit
from unstuck.tabular.fit.figures import written
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.task import Classes, Labels, Task

Array = np.ndarray
LISTED = 10
CERTAIN = 0.9
"""From this probability on a class is certain, however much more probable it is where it is given."""
FAR = 6.0
"""A number looks wrong this many standard deviations from its prediction: among a thousand million normal errors, two
are as large. The standard deviation is that of normal errors of which a twentieth are as large as a twentieth of these,
so that errors with long tails are not all suspected."""
SAME = 0.95
"""A column looks like a leak if it alone explains this share of the target in rows that it was not compared with."""
BINS, EACH = (8, 64), 3
"""Ranges of a number, coarse and fine, and least rows of each on average."""


@dataclass(frozen=True)
class Odd:
    """A row whose target looks wrong: what is given, and what the predictions for it say instead."""

    row: int
    given: str
    predicted: str
    strength: float
    """How strongly: the difference of the two probabilities, or standard deviations of the errors."""


@dataclass(frozen=True)
class Alone:
    """The share of the target's variance that one column explains in other rows than it was measured on, by the mean
    target of each word or of ranges, whichever way explains most."""

    column: str
    explained: float

    @property
    def leaks(self) -> bool:
        """Whether the column nearly is the target."""
        return self.explained >= SAME


def mislabelled(task: Task, answers: Array, y: Array, rows: Array) -> tuple[Odd, ...]:
    """The strongest suspects among rows whose `answers` are by networks that were not trained on them.

    Classes by confident learning (Northcutt et al. 2021): another class is as probable as it usually is where it is
    given, and more probable than the given one. Numbers by their distance from the prediction.
    """
    if isinstance(task, Classes):
        found = list(_classes(task, answers, y, rows))
    elif isinstance(task, Labels):
        found = list(_labels(task, answers, y, rows))
    else:
        found = list(_numbers(answers, y, rows))
    return tuple(sorted(found, key=lambda one: -one.strength))


def _classes(task: Classes, p: Array, y: Array, rows: Array) -> Iterator[Odd]:
    given = np.searchsorted(task.labels, y)
    usual = np.array([p[given == j, j].mean() if (given == j).any() else np.inf for j in range(p.shape[1])])
    usual = np.where(np.isfinite(usual), np.minimum(usual, CERTAIN), usual)
    own = p[np.arange(len(p)), given]
    able = np.where((p >= usual) & (np.arange(p.shape[1]) != given[:, None]), p, -1.0)
    other = able.argmax(axis=1)
    names = [written(label) for label in task.labels.tolist()]
    for i in np.flatnonzero(able.max(axis=1) > np.maximum(own, 0.5)):
        strength = float(p[i, other[i]] - own[i])
        yield Odd(int(rows[i]), names[given[i]], f"{names[other[i]]} ({p[i, other[i]]:.0%})", strength)


def _labels(task: Labels, p: Array, y: Array, rows: Array) -> Iterator[Odd]:
    for j, name in enumerate(task.names):
        for one in _classes(Classes(np.array([0, 1])), np.stack([1 - p[:, j], p[:, j]], 1), y[:, j] > 0.5, rows):
            yield Odd(one.row, f"{name}: {one.given}", f"{name}: {one.predicted}", one.strength)


def _numbers(answers: Array, y: Array, rows: Array) -> Iterator[Odd]:
    off = y - answers
    size = np.quantile(np.abs(off - np.median(off, axis=0)), 0.95, axis=0) / 1.96
    far = np.abs(off - np.median(off, axis=0)) / np.where(size > 0, size, np.inf)
    for i, j in np.argwhere(far > FAR):
        yield Odd(int(rows[i]), f"{y[i, j]:.6g}", f"{answers[i, j]:.6g}", float(far[i, j]))


def alone(unit: Unit, frame: Frame, goals: Array) -> Alone:
    """What one column explains of standardised targets (n, k), each half of the rows by the other half."""
    values = unit.values(frame)
    half = np.random.Generator(np.random.Philox(key=[0xA10E, len(goals)])).permutation(len(goals)) % 2
    finer = [partial(_of_numbers, bins=bins, stepped=stepped) for bins in BINS for stepped in (False, True)]
    ways = [_of_words] if values.dtype == object else finer
    whole, left = np.square(goals - goals.mean(axis=0)).sum(), np.inf
    for by in ways:
        told = np.zeros_like(goals)
        for side in (0, 1):
            own, other = half == side, half != side
            told[own] = by(values[other], goals[other], values[own])
        left = min(left, np.square(goals - told).sum())
    return Alone(unit.name, float(1 - left / whole) if whole > 0 else 0.0)


def _of_words(known: Array, goals: Array, asked: Array) -> Array:
    """The mean target of each word, completed by a row of the overall mean."""
    place = {word: i for i, word in enumerate(dict.fromkeys(known.tolist()))}
    code, middle = np.array([place[word] for word in known], np.int64), goals.mean(axis=0)
    rows = np.bincount(code, minlength=len(place))[:, None]
    sums = np.stack([np.bincount(code, one, len(place)) for one in goals.T], axis=1)
    means = np.concatenate([(sums + middle) / (rows + 1), middle[None]])
    return means[[place.get(word, -1) for word in asked]]


def _of_numbers(known: Array, goals: Array, asked: Array, bins: int, stepped: bool) -> Array:
    """By the means of ranges of equal values or of equal numbers of rows, interpolated, or `stepped`: that of the range
    in the middle of which the value is nearest. Gaps by their own mean."""
    there, here = np.isfinite(known), np.isfinite(asked)
    out = np.repeat(goals.mean(axis=0)[None], len(asked), axis=0)
    if (~there).any():
        out[~here] = goals[~there].mean(axis=0)
    if not there.any():
        return out
    distinct = np.unique(known[there])
    if len(distinct) > (bins := max(1, min(bins, there.sum() // EACH))):
        edges = np.unique(np.quantile(known[there], np.linspace(0, 1, bins + 1)[1:-1]))
        code = np.searchsorted(edges, known[there])
    else:
        code = np.searchsorted(distinct, known[there])
    code = np.unique(code, return_inverse=True)[1]
    rows = np.bincount(code)
    middles = np.bincount(code, known[there]) / rows
    means = np.stack([np.bincount(code, one) / rows for one in goals[there].T], axis=1)
    if stepped:
        out[here] = means[np.searchsorted((middles[1:] + middles[:-1]) / 2, asked[here])]
        return out
    for j in range(goals.shape[1]):
        out[here, j] = np.interp(asked[here], middles, means[:, j])
    return out
