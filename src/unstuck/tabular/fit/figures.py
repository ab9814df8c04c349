"""Scores of predictions, and of a constant baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from unstuck.tabular.fit.intervals import intervals, unbroken
from unstuck.tabular.fit.measures import BELOW, Measured, measures
from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Classes

Array = np.ndarray
BINS = 10
MOST = 100
"""With more classes, no confusion matrix is computed."""
PAIRS = 500
"""Maximum number of rows in a plot of truth against prediction."""
SHARES = ("accuracy", "balanced accuracy", "all labels right", "labels right", BELOW)
"""Scores that are shares of rows."""


@dataclass(frozen=True)
class Score:
    """A score of the model, of the best constant prediction, and of a linear model."""

    name: str
    model: float
    constant: float
    of: str = ""
    """The target or label, if there are several."""
    linear: float | None = None
    """The score of a linear model; None if there is none."""
    low: float = float("nan")
    high: float = float("nan")
    """The 95 % interval of `model`."""


@dataclass(frozen=True)
class Bin:
    """Rows with a predicted probability in one tenth: mean prediction and observed share."""

    low: float
    rows: float
    said: float
    came: float


@dataclass(frozen=True)
class Figures:
    """The evaluation of predictions on some rows."""

    rows: int
    scores: tuple[Score, ...]
    labels: tuple[str, ...] = ()
    confusion: tuple[tuple[float, ...], ...] = ()
    """Rows by true class (down) and predicted class (across)."""
    bins: tuple[Bin, ...] = ()
    pairs: tuple[tuple[float, float], ...] = ()
    """For regression with one target: truth and prediction of some rows."""

    @property
    def calibration_error(self) -> float | None:
        """The mean absolute difference between predicted and observed shares, weighted by rows."""
        total = sum(b.rows for b in self.bins)
        return sum(b.rows * abs(b.said - b.came) for b in self.bins) / total if total else None

    def plain(self) -> dict[str, Any]:
        """As plain data for JSON."""
        scores = [{k: None if v != v else v for k, v in asdict(score).items()} for score in self.scores]
        return asdict(self) | {"scores": scores, "calibration_error": self.calibration_error}


def judge(
    aim: Target,
    answers: Array,
    y: Array,
    w: Array | None = None,
    floor: Array | None = None,
    units: Array | None = None,
) -> Figures:
    """Predictions (n, k), in a model's format, against targets in the format of `aim.y`; w (n,) weighs the rows.
    `floor`: the predictions of a linear model, in the same format. `units`, (n,): numbers of groups, whose rows a
    bootstrap draws together."""
    w = np.ones(len(y)) if w is None else np.asarray(w, np.float64)
    found = list(measures(aim, answers, y))
    ends = intervals([one.model for one in found], w, units)
    others = [None] * len(found) if floor is None else [one.model(w) for one in measures(aim, floor, y)]
    number = len(y) if units is None else len(np.unique(units))
    scores = tuple(_score(*one, w, number) for one in zip(found, ends, others, strict=True))
    if isinstance(aim.task, Classes):
        return _classes(aim.task, answers, y, w, scores)
    if aim.sort == "multilabel":
        flat = np.repeat(w, y.shape[1])
        return Figures(len(y), scores, bins=tuple(_bins(answers.ravel(), y.ravel() > 0.5, flat)))
    some = np.linspace(0, len(y) - 1, min(len(y), PAIRS)).astype(int) if len(aim.names) == 1 else []
    return Figures(len(y), scores, pairs=tuple((float(y[i, 0]), float(answers[i, 0])) for i in some))


def _score(found: Measured, ends: tuple[float, float], linear: float | None, w: Array, number: int) -> Score:
    value = found.model(w)
    ends = unbroken(value, ends, number) if found.name in SHARES else ends
    return Score(found.name, value, found.constant(w), found.of, linear, *ends)


def _classes(task: Classes, p: Array, y: Array, w: Array, scores: tuple[Score, ...]) -> Figures:
    k = len(task.labels)
    true, taken = np.searchsorted(task.labels, y), p.argmax(axis=1)
    table = np.zeros((k, k)) if k <= MOST else np.zeros((0, 0))
    if len(table):
        np.add.at(table, (true, taken), w)
    said, came = (p[:, 1], true == 1) if k == 2 else (p.max(axis=1), true == taken)
    return Figures(len(y), scores, tuple(map(written, task.labels.tolist())), _rows(table), tuple(_bins(said, came, w)))


def written(label: object) -> str:
    """A label as written in tables."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _bins(said: Array, came: Array, w: Array) -> Iterator[Bin]:
    place = np.minimum((said * BINS).astype(int), BINS - 1)
    for k in np.unique(place):
        at = place == k
        rows = float(w[at].sum())
        if rows:
            yield Bin(
                k / BINS, rows, float(np.average(said[at], weights=w[at])), float(np.average(came[at], weights=w[at]))
            )


def _rows(table: Array) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in table)
