"""`explain` of `Classifier` and `Regressor`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from unstuck.tabular.fit.arrays import frame_of
from unstuck.tabular.fit.evaluated import names_of, sort_of
from unstuck.tabular.fit.explain.explanation import Explanation
from unstuck.tabular.fit.explain.growth import grown
from unstuck.tabular.fit.explain.making import Wanted, explained, with_odd
from unstuck.tabular.fit.explain.subject import Subject, outputs
from unstuck.tabular.fit.explain.units import units
from unstuck.tabular.fit.figures import judge
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.options import options_of
from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.trainer import trainer

Array = np.ndarray


def explain(estimator: Any, X: Any, y: Any, rows: Any, curve: bool) -> Explanation:
    """As `Network.explain`."""
    if curve and y is None:
        raise ValueError("curve=True needs y")
    X = estimator._checked(X, reset=False)
    frame = frame_of(X, estimator._schema)[0]
    y = None if y is None else estimator._target(y, reset=False)
    subject = _subject(estimator, frame, y)
    chosen = None if rows is None else _places(rows, len(frame))
    wanted = Wanted(type(estimator).__name__, "the rows that were passed", chosen)
    found = explained(subject, wanted, estimator.model_.encoder)
    if y is None:
        return found
    answers = subject.predict(frame)
    found = with_odd(found, subject, answers)
    task = subject.task
    aim = Target(sort_of(task), names_of(task), np.arange(len(y)), y, task)
    found = replace(found, figures=judge(aim, answers, y))
    return replace(found, growth=_growth(estimator, subject)) if curve else found


def _places(rows: Any, n: int) -> tuple[int, ...]:
    places = tuple(int(row) for row in np.ravel(rows))
    if any(not -n <= place < n for place in places):
        raise ValueError(f"rows must be row numbers of X, from 0 to {n - 1}, not {list(places)}")
    return tuple(place % n for place in places)


def _subject(estimator: Any, frame: Frame, y: Array | None) -> Subject:
    schema, task = estimator._schema, estimator.model_.task
    names = list(map(str, getattr(estimator, "feature_names_in_", ()))) or [
        f"column {j}" for j in range(1, len(schema.words) + 1)
    ]
    ordered = [name for text in (False, True) for name, one in zip(names, schema.words, strict=True) if one == text]
    own = units(frame, schema.roles, ordered)
    return Subject(estimator.model_.answers, task, outputs(task, _named(task)), own, frame, y, estimator._seed)


def _named(task: Task) -> tuple[str, ...]:
    """Names of the predicted numbers; y for a single one."""
    return names_of(task) if task.loss.outputs > 1 else ("y",)


def _growth(estimator: Any, subject: Subject) -> Any:
    task, y = subject.task, subject.y
    assert y is not None
    options = options_of(estimator, estimator._seed)

    def fit(index: Array) -> Any:
        learn = trainer(estimator).learn
        return learn(subject.frame.take(index), y[index], task, options, None, lambda shape, now: None).answers

    def loss(answers: Array, index: Array) -> Array:
        return replace(subject, y=y[index]).losses(answers)

    strata = task.strata(task.encode(y))
    return grown(fit, subject.frame, strata, loss, subject.measure, estimator._seed).growth
