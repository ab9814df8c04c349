"""The pages of `unstuck fit --html` and `unstuck predict --html`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from unstuck.tabular.fit.evaluated import sort_of
from unstuck.tabular.fit.explain.explanation import Explanation
from unstuck.tabular.fit.explain.growth import Grown, grown
from unstuck.tabular.fit.explain.making import MOST, Wanted, alone_of, explained, with_odd
from unstuck.tabular.fit.explain.subject import Subject, outputs
from unstuck.tabular.fit.explain.units import stacked, units
from unstuck.tabular.fit.figures import judge
from unstuck.tabular.fit.fitted import Fitted
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.job import Job
from unstuck.tabular.fit.loading import cells, frame_of, gather, row_in_file
from unstuck.tabular.fit.model import Model, learn
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.roles import Roles, listed
from unstuck.tabular.fit.target import Target
from unstuck.tabular.fit.task import Classes, Labels, Numbers
from unstuck.tabular.tables import TEXT, Table

Array = np.ndarray


def of_fit(options: Namespace, job: Job, chosen: Options, fitted: Fitted) -> Explanation:
    """Of a model just fitted to a table in memory: on the rows of --holdout or --test, else by a model fitted to four
    fifths of the rows on the others. Raises TableError."""
    model, aim, frame = fitted.model, job.aim, job.frame()
    names = outputs(aim.task, aim.names)
    own = units(frame, job.roles, [])
    every = Subject(model.answers, aim.task, names, own, frame, aim.y, options.seed, _called(job.table, aim.rows))
    curve, note = _curve(job, chosen, every)
    apart = _apart(options, job, every)
    if apart is None:
        subject = every.take(curve.held)
        judged, of = replace(subject, predict=curve.predict), "held out from a second model, fitted to the other rows"
    else:
        (subject, of), judged = apart, None
    wanted = Wanted(f"{fitted.data}: {listed(fitted.targets)}", of)
    found = explained(subject, wanted, model.encoder if apart is not None else None, judged)
    found = _with_unseen(found, every, model)
    figures = fitted.judged[-1].figures if fitted.judged else None
    return replace(found, alone=alone_of(every.some(MOST)), figures=figures, growth=curve.growth, notes=note)


def _curve(job: Job, chosen: Options, every: Subject) -> tuple[Grown, tuple[str, ...]]:
    """The learning curve, of at most so many rows."""
    kept = np.sort(every.rng.permutation(len(every))[:MOST])
    frame, y, weights = every.frame.take(kept), job.aim.y[kept], job.aim.weights
    separation = None if job.separation is None else job.separation.take(kept)

    def fit(index: Array) -> Callable[[Frame], Array]:
        own = None if weights is None else weights[kept[index]]
        apart = None if separation is None else separation.take(index)
        return learn(frame.take(index), y[index], job.aim.task, chosen, own, separation=apart).answers

    def loss(answers: Array, index: Array) -> Array:
        return replace(every, y=y[index]).losses(answers)

    strata = job.aim.task.strata(job.aim.task.encode(y))
    curve = grown(fit, frame, strata, loss, every.measure, chosen.seed, separation)
    note = f"The learning curve is that of {len(kept):,} of the rows." if len(kept) < len(every) else ""
    return replace(curve, held=kept[curve.held]), (note,) if note else ()


def _apart(options: Namespace, job: Job, every: Subject) -> tuple[Subject, str] | None:
    """The rows of --holdout, or of --test."""
    assert job.loaded is not None
    if job.apart is not None:
        frame = job.loaded.frame.take(job.apart.rows)
        numbers = _called(job.table, job.apart.rows)
        return replace(every, frame=frame, y=job.apart.y, numbers=numbers), "held out with --holdout"
    if job.test is None:
        return None
    loaded = gather(job.test, Roles(job.roles.inputs, job.roles.targets, calendar=job.roles.calendar))
    rows, y, _ = job.aim.read(loaded.targets)
    numbers = _called(job.test, rows)
    return replace(every, frame=loaded.frame.take(rows), y=y, numbers=numbers), f"rows of {options.test}"


def _called(table: Table, rows: Array) -> Array:
    """Rows as a spreadsheet numbers them if the data is one file, else from 1 on."""
    first = row_in_file(table, 0)
    return np.asarray(rows) + (1 if first is None else first)


def _with_unseen(found: Explanation, every: Subject, model: Model) -> Explanation:
    """With the rows that look mislabelled among those that the networks held out."""
    unseen = model.unseen
    if unseen is None or every.y is None or len(unseen.rows) != len(unseen.answers):
        return found
    return with_odd(found, every.take(unseen.rows), unseen.answers)


def of_predict(model: Model, about: Mapping[str, Any], table: Table, who: Roles, seed: int = 0) -> Explanation:
    """Of a saved model on the first rows of a table to predict; with errors where it holds the targets too. Raises
    TableError."""
    targets = tuple(name for name in who.targets if name in table.columns)
    asked = targets if targets == who.targets and not isinstance(model.task, Labels) else ()
    if isinstance(model.task, Classes) and model.task.labels.dtype.kind in "OU":
        table = table.read_as(dict.fromkeys(asked, TEXT))
    frame, y = _first(table, who, asked)
    known = _known(model, y) if asked else None
    if known is not None:
        frame = frame.take(known[0])
    names = tuple(map(str, about["names"]))
    rows, y = known if known is not None else (np.arange(len(frame)), None)
    own, called = units(frame, who, []), _called(table, rows)
    subject = Subject(model.answers, model.task, outputs(model.task, names), own, frame, y, seed, called)
    of = f"the first rows of {table.name}" if len(frame) >= MOST else f"rows of {table.name}"
    found = explained(subject, Wanted(f"{table.name}: {listed(who.targets or names)}", of), model.encoder)
    if y is None:
        return found
    answers = subject.predict(frame)
    aim = Target(sort_of(model.task), names, rows, y, model.task)
    return replace(with_odd(found, subject, answers), figures=judge(aim, answers, y))


def _first(table: Table, who: Roles, targets: tuple[str, ...]) -> tuple[Frame, list[Array]]:
    frames, columns, rows = [], [], 0
    for batch in table.select(dict.fromkeys((*who.inputs, *targets))).batches():
        frames.append(frame_of(batch, who))
        columns.append([cells(batch.column(name)) for name in targets])
        rows += batch.num_rows
        if rows >= MOST:
            break
    return stacked(frames), [np.concatenate(parts) for parts in zip(*columns, strict=True)]


def _known(model: Model, y: list[Array]) -> tuple[Array, Array] | None:
    """The rows with a target that the model knows, and these; None if there are none."""
    if isinstance(model.task, Numbers):
        numbers = np.stack([np.asarray(column, np.float64) for column in y], axis=1)
        rows = np.flatnonzero(np.isfinite(numbers).all(axis=1))
        return (rows, numbers[rows]) if len(rows) else None
    assert isinstance(model.task, Classes)
    place = {label: i for i, label in enumerate(model.task.labels.tolist())}
    at = np.array([place.get(cell, -1) for cell in y[0].tolist()], np.int64)
    rows = np.flatnonzero(at >= 0)
    return (rows, model.task.labels[at[rows]]) if len(rows) else None
