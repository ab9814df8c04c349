"""Scores as functions of the weights of the rows, so that a bootstrap computes them for every resample."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.intervals import Measure
from unstuck.tabular.fit.pinball import quantile
from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Classes, Numbers

Array = np.ndarray
PINBALL, BELOW = "pinball loss", "targets up to the prediction"
TINY = 1e-7
"""Lower bound of a probability in a logarithm, as in training."""


@dataclass(frozen=True)
class Measured:
    """A score of predictions, and of the best constant prediction; `of`: the target or label, if there are several."""

    name: str
    model: Measure
    constant: Measure
    of: str = ""


def measures(aim: Target, answers: Array, y: Array) -> Iterator[Measured]:
    """The scores of predictions (n, k) against targets in the format of `aim.y`."""
    if isinstance(aim.task, Classes):
        return _classes(aim.task, answers, y)
    if aim.sort == "multilabel":
        return _labels(aim, answers, y)
    several, level = len(aim.names) > 1, aim.task.quantile if isinstance(aim.task, Numbers) else None
    return (
        one
        for j, name in enumerate(aim.names)
        for one in _ordered(_numbers(answers[:, j], y[:, j], name if several else "", level), level)
    )


def _mean(values: Array) -> Measure:
    return lambda w: float(np.average(values, weights=w))


def _classes(task: Classes, p: Array, y: Array) -> Iterator[Measured]:
    k, true = len(task.labels), np.searchsorted(task.labels, y)
    right = true == p.argmax(axis=1)
    share = lambda w: np.bincount(true, weights=w, minlength=k) / w.sum()
    yield Measured("accuracy", _mean(right), lambda w: float(share(w).max()))
    recall = lambda w: _recall(right, true, share(w), w)
    yield Measured("balanced accuracy", recall, lambda w: 1 / int((share(w) > 0).sum()))
    if k == 2 and len(np.unique(true)) == 2:
        yield Measured("area under the ROC", _area(p[:, 1], true == 1), lambda w: 0.5)
    sure = -np.log(np.maximum(p[np.arange(len(y)), true], TINY))
    yield Measured("log loss", _mean(sure), lambda w: _entropy(share(w)))


def _recall(right: Array, true: Array, share: Array, w: Array) -> float:
    there = share > 0
    return float((np.bincount(true, weights=w * right, minlength=len(share))[there] / (share[there] * w.sum())).mean())


def _entropy(share: Array) -> float:
    share = share[share > 0]
    return float(-(share * np.log(share)).sum())


def _area(p: Array, yes: Array) -> Measure:
    """The probability that a positive is ranked above a negative; ties count half."""
    at, group = np.unique(p, return_inverse=True)

    def area(w: Array) -> float:
        of_yes, of_no = (np.bincount(group, weights=w * side, minlength=len(at)) for side in (yes, ~yes))
        below = np.cumsum(of_no) - of_no
        return float((of_yes * (below + of_no / 2)).sum() / (of_yes.sum() * of_no.sum()))

    return area


def _labels(aim: Target, p: Array, y: Array) -> Iterator[Measured]:
    yes = y > 0.5
    same = yes == (p > 0.5)
    share = lambda w: np.average(yes, axis=0, weights=w)
    usual = lambda w: float(np.average(np.all(yes == (share(w) > 0.5), axis=1), weights=w))
    yield Measured("all labels right", _mean(same.all(axis=1)), usual)
    yield Measured("labels right", _mean(same.mean(axis=1)), lambda w: float(np.maximum(share(w), 1 - share(w)).mean()))
    for j, name in enumerate(aim.names):
        most = lambda w, j=j: max(float(np.average(yes[:, j], weights=w)), 1 - float(np.average(yes[:, j], weights=w)))
        yield Measured("accuracy", _mean(same[:, j]), most, name)


def _ordered(found: Iterator[Measured], level: float | None) -> Iterator[Measured]:
    """The scores that suit the loss, the one that was trained on first."""
    by_name = {one.name: one for one in found}
    if level is None:
        return iter([by_name[name] for name in ("R2", "root mean squared error", "mean absolute error")])
    if level == 0.5:
        return iter([by_name[name] for name in ("mean absolute error", "R2", "root mean squared error")])
    return iter([by_name[name] for name in (PINBALL, BELOW, "mean absolute error")])


def _numbers(given: Array, y: Array, of: str, level: float | None) -> Iterator[Measured]:
    unit = float(max(np.abs(y).max(), np.abs(given).max())) or 1.0  # avoids overflow of squares of large numbers
    y, given = y / unit, given / unit
    squares, sizes, off = np.square(y - given), np.abs(y - given), np.abs(y - np.median(y))

    def spread(w: Array) -> float:
        return float(np.average(np.square(y - np.average(y, weights=w)), weights=w))

    def explained(w: Array) -> float:
        around = spread(w)
        return 1 - float(np.average(squares, weights=w)) / around if around > 0 else float("nan")

    yield Measured("R2", explained, lambda w: 0.0, of)
    root = lambda w: unit * float(np.average(squares, weights=w)) ** 0.5
    yield Measured("root mean squared error", root, lambda w: unit * spread(w) ** 0.5, of)
    absolute = lambda w: unit * float(np.average(sizes, weights=w))
    yield Measured("mean absolute error", absolute, lambda w: unit * float(np.average(off, weights=w)), of)
    if level is not None:
        lost = lambda z: np.maximum(level * (y - z), (level - 1) * (y - z))
        usual = lambda w: unit * float(np.average(lost(quantile(y, level, w)), weights=w))
        own = lost(given)
        yield Measured(PINBALL, lambda w: unit * float(np.average(own, weights=w)), usual, of)
        yield Measured(BELOW, _mean(y <= given), lambda w: level, of)
