"""Evaluate a model on rows it was not trained on: its own held-out rows, --holdout, and --test."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from unstuck.tabular.fit.context import FEW
from unstuck.tabular.fit.figures import judge
from unstuck.tabular.fit.fitted import Judged
from unstuck.tabular.fit.job import Job
from unstuck.tabular.fit.loading import frame_of, gather
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.tables import Table, TableError

Array = np.ndarray
Both = tuple[Array, Array | None]
"""The predictions of the model, and of the linear model if there is one, (n, k)."""


def judged(options: Namespace, job: Job, model: Model) -> tuple[list[Judged], list[str]]:
    """Evaluations on rows not used for training, and notes on them."""
    out, notes = list(_by_itself(job, model)), []
    if job.apart is not None:
        answers, floor = _answers(model, job, job.apart.rows)
        of = f"rows held out with --holdout ({options.holdout:.0%})"
        out.append(Judged(of, judge(job.aim, answers, job.apart.y, job.apart.weights, floor)))
    if job.test is not None:
        figures, more = _tested(options, job, model, job.test)
        out.append(figures)
        notes += more
    return out, notes


def _by_itself(job: Job, model: Model) -> Iterator[Judged]:
    """On the rows that each network held out."""
    unseen = model.unseen
    if unseen is None or not len(unseen.answers):
        return
    rows, w = _slabs(job) if job.loaded is None else (unseen.rows, unseen.counts)
    if len(rows) != len(unseen.answers):
        return
    of = "held-out rows (cross-validation: each predicted by networks not trained on it)"
    if len(rows) < FEW:
        of = "training rows: too few to hold any out, so this does not measure generalisation"
    yield Judged(of, judge(job.aim, unseen.answers, job.aim.y[rows], w, unseen.floor))


def _slabs(job: Job) -> tuple[Array, Array | None]:
    """The rows that training on slabs holds out, in order."""
    from unstuck.tabular.fit.statistics import mixed
    from unstuck.tabular.fit.stream import HELD

    n, weights = len(job.aim.rows), job.aim.weights
    rows = np.flatnonzero(mixed(np.arange(n), 2) < np.uint64(min(0.1, HELD / n) * (2**64 - 2**12)))
    return rows, None if weights is None else weights[rows]


def _answers(model: Model, job: Job, rows: Array) -> Both:
    if job.loaded is not None:
        frame = job.loaded.frame.take(rows)
        return model.answers(frame), model.floor_answers(frame)
    return streamed(model, job.table, job.roles, rows)


def streamed(model: Model, table: Table, who: Roles, rows: Array) -> Both:
    """Predictions for some rows of a table, in ascending order, read a batch at a time: (len(rows), k)."""
    at, out, floors = 0, [], []
    for batch in table.select(who.inputs).batches():
        first, end = np.searchsorted(rows, [at, at + batch.num_rows])
        if first < end:
            frame = frame_of(batch, who).take(rows[first:end] - at)
            out.append(model.answers(frame))
            floors.append(model.floor_answers(frame))
        at += batch.num_rows
    found = np.concatenate(out) if out else np.zeros((0, model.task.loss.outputs))
    return found, np.concatenate(floors) if floors and floors[0] is not None else None


def _tested(options: Namespace, job: Job, model: Model, table: Table) -> tuple[Judged, list[str]]:
    rows, y, strange = job.aim.read(gather(table, Roles({}, job.roles.targets)).targets)
    if not len(rows):
        raise TableError("has no row with a known target", file=options.test)
    notes = [f"{options.test}: {strange:,} rows skipped: their class does not occur in training"] if strange else []
    answers, floor = streamed(model, table, job.roles, rows)
    figures = judge(job.aim, answers, y, None, floor)
    split = " (its test split)" if options.test in options.data else ""
    return Judged(f"rows of {options.test}{split}", figures), notes
