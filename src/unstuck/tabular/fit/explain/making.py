"""Make an explanation: of rows in Python, after `unstuck fit`, and with `unstuck predict`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unstuck.tabular.fit.context import FEW
from unstuck.tabular.fit.effects import standardised
from unstuck.tabular.fit.explain.contributions import Contributions, contributions
from unstuck.tabular.fit.explain.dependence import COLUMNS, dependences, interactions
from unstuck.tabular.fit.explain.drift import drifts
from unstuck.tabular.fit.explain.explanation import Explanation
from unstuck.tabular.fit.explain.importance import SLIGHT, importances
from unstuck.tabular.fit.explain.subject import Subject
from unstuck.tabular.fit.explain.suspects import Alone, alone, mislabelled
from unstuck.tabular.fit.task import Classes

Array = np.ndarray
MOST = 20_000
"""Most rows that are explained."""
WORST = 3
"""The worst predictions are explained one by one, beside the highest, the lowest and the middle one."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for; `rows`: numbers of rows to explain one by one, None: chosen."""

    title: str
    measured: str
    rows: tuple[int, ...] | None = None


def explained(subject: Subject, wanted: Wanted, encoder: Any, judged: Subject | None = None) -> Explanation:
    """The parts that need no further fit. `encoder`: that of the model, for the drift; None for the training rows.
    `judged`: the subject with the predictions of another model, where this one was fitted to the rows."""
    some = subject.some(MOST)
    found = importances((judged or subject).some(MOST))
    alone = [one for one in found if len(one.columns) == 1]
    top = [one.columns[0] for one in alone if one.mean > SLIGHT * alone[0].mean][:COLUMNS]
    pairs = interactions(some, top)
    every = Explanation(
        wanted.title, len(some), wanted.measured, some.measure if some.y is not None else "", some.outputs,
        found, dependences(some, top, pairs), pairs, _single(subject, some, judged or subject, wanted.rows),
        drifts=drifts(encoder, some.frame, some.units) if encoder is not None else (),
    )  # fmt: skip
    return every if some.y is None else replace(every, alone=alone_of(some))


def _single(
    subject: Subject, some: Subject, judged: Subject, rows: tuple[int, ...] | None
) -> tuple[Contributions, ...]:
    """Rows one by one: those asked for, else the extremes and, with targets, the worst predictions."""
    output = 0 if len(subject.outputs) == 1 or not isinstance(subject.task, Classes) else None
    if rows is not None:
        return tuple(contributions(subject, np.array(rows, np.int64), some, output))
    found = some.of(some.frame)
    order = np.argsort(found.max(axis=1) if output is None else found[:, 0], kind="stable")
    picked = [order[-1], order[0], order[len(order) // 2]]
    if some.y is not None:
        least = judged.some(MOST)
        picked += np.argsort(-least.losses(least.predict(least.frame)), kind="stable")[:WORST].tolist()
    return tuple(contributions(some, np.array(list(dict.fromkeys(map(int, picked)))), some, output))


def alone_of(subject: Subject) -> tuple[Alone, ...]:
    """What every column explains alone, the most first; nothing of a few rows."""
    if len(subject) < FEW:
        return ()
    goals = goals_of(subject)
    found = [alone(unit, subject.frame, goals) for unit in subject.units if unit.sort != "image"]
    return tuple(sorted(found, key=lambda one: -one.explained))


def goals_of(subject: Subject) -> Array:
    """The targets as standardised numbers, (n, k)."""
    assert subject.y is not None
    task, y = subject.task, subject.y
    if isinstance(task, Classes):
        y = np.searchsorted(task.labels, y)
        return standardised(y, len(task.labels), np.ones(len(y)))
    return standardised(np.asarray(y, np.float64), y.shape[1], np.ones(len(y)))


def with_odd(found: Explanation, subject: Subject, answers: Array) -> Explanation:
    """With rows that look mislabelled, by predictions for the subject's rows."""
    assert subject.y is not None
    odd = mislabelled(subject.task, answers, subject.y, subject.names)
    return replace(found, mislabelled=odd, checked=len(subject))
