"""Scores of predictions, and of a constant baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Classes

Array = np.ndarray
BINS = 10
MOST = 100
"""With more classes, no confusion matrix is computed."""
PAIRS = 500
"""Maximum number of rows in a plot of truth against prediction."""
TINY = 1e-7
"""Lower bound of a probability in a logarithm, as in training."""


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
        return asdict(self) | {"calibration_error": self.calibration_error}


def judge(aim: Target, answers: Array, y: Array, w: Array | None = None, floor: Array | None = None) -> Figures:
    """Predictions (n, k), in a model's format, against targets in the format of `aim.y`; w (n,) weighs the rows.
    `floor`: the predictions of a linear model, in the same format."""
    w = np.ones(len(y)) if w is None else w
    found = _figures(aim, answers, y, w)
    if floor is None:
        return found
    pairs = zip(found.scores, _figures(aim, floor, y, w).scores, strict=True)
    return replace(found, scores=tuple(replace(own, linear=other.model) for own, other in pairs))


def _figures(aim: Target, answers: Array, y: Array, w: Array) -> Figures:
    if isinstance(aim.task, Classes):
        return _classes(aim.task, answers, y, w)
    if aim.sort == "multilabel":
        return _labels(aim, answers, y, w)
    scores = [
        s
        for j, name in enumerate(aim.names)
        for s in _numbers(answers[:, j], y[:, j], w, name if len(aim.names) > 1 else "")
    ]
    some = np.linspace(0, len(y) - 1, min(len(y), PAIRS)).astype(int) if len(aim.names) == 1 else []
    pairs = tuple((float(y[i, 0]), float(answers[i, 0])) for i in some)
    return Figures(len(y), tuple(scores), pairs=pairs)


def _classes(task: Classes, p: Array, y: Array, w: Array) -> Figures:
    k = len(task.labels)
    true, taken = np.searchsorted(task.labels, y), p.argmax(axis=1)
    share = np.bincount(true, weights=w, minlength=k) / w.sum()
    right = true == taken
    there = share > 0
    recall = np.bincount(true, weights=w * right, minlength=k)[there] / (share[there] * w.sum())
    scores = [
        Score("accuracy", float(np.average(right, weights=w)), float(share.max())),
        Score("balanced accuracy", float(recall.mean()), 1 / int(there.sum())),
    ]
    if k == 2 and there.all():
        scores.append(Score("area under the ROC", _area(p[:, 1], true == 1, w), 0.5))
    sure = np.maximum(p[np.arange(len(y)), true], TINY)
    entropy = -(share[there] * np.log(share[there])).sum()
    scores.append(Score("log loss", float(np.average(-np.log(sure), weights=w)), float(entropy)))
    table = np.zeros((k, k)) if k <= MOST else np.zeros((0, 0))
    if len(table):
        np.add.at(table, (true, taken), w)
    said, came = (p[:, 1], true == 1) if k == 2 else (p.max(axis=1), right)
    return Figures(
        len(y), tuple(scores), tuple(map(written, task.labels.tolist())), _rows(table), tuple(_bins(said, came, w))
    )


def written(label: object) -> str:
    """A label as written in tables."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _labels(aim: Target, p: Array, y: Array, w: Array) -> Figures:
    yes, taken = y > 0.5, p > 0.5
    share = np.average(yes, axis=0, weights=w)
    same = yes == taken
    usual = np.all(yes == (share > 0.5), axis=1)
    scores = [
        Score("all labels right", float(np.average(same.all(axis=1), weights=w)), float(np.average(usual, weights=w))),
        Score(
            "labels right", float(np.average(same.mean(axis=1), weights=w)), float(np.maximum(share, 1 - share).mean())
        ),
    ]
    each = np.average(same, axis=0, weights=w)
    scores += [
        Score("accuracy", float(a), float(max(s, 1 - s)), name)
        for name, a, s in zip(aim.names, each, share, strict=True)
    ]
    flat = np.repeat(w, y.shape[1])
    return Figures(len(y), tuple(scores), bins=tuple(_bins(p.ravel(), yes.ravel(), flat)))


def _numbers(given: Array, y: Array, w: Array, of: str) -> list[Score]:
    unit = float(max(np.abs(y).max(), np.abs(given).max())) or 1.0  # avoids overflow of squares of large numbers
    y, given = y / unit, given / unit
    middle = np.average(y, weights=w)
    left, spread = np.average((y - given) ** 2, weights=w), np.average((y - middle) ** 2, weights=w)
    off, usual = np.average(np.abs(y - given), weights=w), np.average(np.abs(y - np.median(y)), weights=w)
    r2 = 1 - left / spread if spread > 0 else float("nan")
    return [
        Score("R2", float(r2), 0.0, of),
        Score("root mean squared error", unit * float(left**0.5), unit * float(spread**0.5), of),
        Score("mean absolute error", unit * float(off), unit * float(usual), of),
    ]


def _area(p: Array, yes: Array, w: Array) -> float:
    """The probability that a positive is ranked above a negative; ties count half."""
    at, group = np.unique(p, return_inverse=True)
    of_yes, of_no = (np.bincount(group, weights=w * side, minlength=len(at)) for side in (yes, ~yes))
    below = np.cumsum(of_no) - of_no
    return float((of_yes * (below + of_no / 2)).sum() / (of_yes.sum() * of_no.sum()))


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
