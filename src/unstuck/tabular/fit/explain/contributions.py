"""Explain single predictions by sampled Shapley values (Strumbelj and Kononenko 2014; Castro et al. 2009).

The cells of a background row are replaced by those of the explained row, column by column in a random order, and the
change of the prediction is credited to the column. Every background row is visited in one order and in its reverse
(antithetic sampling: Mitchell et al. 2022), so that the contributions add up to the difference between the prediction
and the mean prediction of the background. Correlated columns are broken apart (marginal, not conditional, values)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.explain.subject import Subject
from unstuck.tabular.fit.frame import Frame

Array = np.ndarray
BACKGROUND = 50
"""Rows against which a row is explained."""
MOST = 50_000
"""Most predictions for one row, and with them the number of background rows."""


@dataclass(frozen=True)
class Contributions:
    """What each column adds to the prediction for a row."""

    row: int
    """What it is called (`Subject.names`)."""
    output: str
    base: float
    """The mean prediction of the background."""
    prediction: float
    values: tuple[tuple[str, str, float], ...]
    """Column, its cell, and what it adds to `base`, the largest first."""
    truth: str | None = None


def contributions(subject: Subject, rows: Array, background: Subject, output: int | None = None) -> list[Contributions]:
    """Of some rows of the subject; `output`: which of the explained numbers, the most probable one if None."""
    return [_one(subject, int(row), background, output) for row in rows]


def _one(subject: Subject, row: int, background: Subject, output: int | None) -> Contributions:
    own = subject.frame.take(np.array([row]))
    at = int(subject.of(own)[0].argmax()) if output is None else output
    d = len(subject.units)
    beside = background.some(max(2, min(BACKGROUND, MOST // (2 * (d + 1)))))
    totals, rng, base = np.zeros(d), beside.rng, []
    for b in range(len(beside)):
        order = rng.permutation(d)
        for way in (order, order[::-1]):
            told = subject.of(_path(subject, own, beside.frame.take(np.array([b])), way))[:, at]
            totals[way] += np.diff(told)
            base.append(told[0])
    totals /= 2 * len(beside)
    cells = [(unit.name, _cell(unit.values(own)[0], unit.sort)) for unit in subject.units]
    found = sorted(((*cell, float(v)) for cell, v in zip(cells, totals, strict=True)), key=lambda one: -abs(one[2]))
    truth = None if subject.y is None else _truth(subject.y[row], at)
    whole = float(subject.of(own)[0, at])
    return Contributions(int(subject.names[row]), subject.outputs[at], float(np.mean(base)), whole, tuple(found), truth)


def _path(subject: Subject, own: Frame, other: Frame, order: Array) -> Frame:
    """From a background row to the explained one, a column at a time: (columns + 1) rows."""
    d = len(order)
    frame, mine = other.take(np.zeros(d + 1, np.int64)), own.take(np.zeros(d + 1, np.int64))
    numbers, words = frame.numbers.copy(), [np.array(column, object) for column in frame.words]
    for step, place in enumerate(order, 1):
        unit = subject.units[place]
        if unit.sort == "words":
            words[unit.at][step:] = mine.words[unit.at][step:]
        else:
            columns = slice(unit.at, unit.at + unit.width)
            numbers[step:, columns] = mine.numbers[step:, columns]
    return Frame(numbers, tuple(words), frame.names)


def _cell(value: object, sort: str) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return "missing"
    if sort == "image":
        return "pixels"
    if sort == "date":
        minutes = np.timedelta64(round(float(value) * 1440), "m")  # type: ignore[arg-type]
        return str(np.datetime64("1970-01-01T00:00") + minutes).replace("T", " ")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _truth(y: object, at: int) -> str:
    if isinstance(y, np.ndarray):
        return f"{float(y[at]):.6g}"
    return str(y)
