"""Evaluate a model on rows it was not trained on: its own held-out rows, --holdout, and --test."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from unstuck.tabular.fit.context import FEW, PARTS, SMALL
from unstuck.tabular.fit.figures import judge
from unstuck.tabular.fit.fitted import Judged
from unstuck.tabular.fit.job import Job
from unstuck.tabular.fit.loading import frame_of, gather
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.repeats import between
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
        units = None if job.beyond is None else job.beyond.units()
        out.append(Judged(of, judge(job.aim, answers, job.apart.y, job.apart.weights, floor, units)))
        notes += _copied(job)
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
    of = f"held-out rows ({_how(job, model)}: each predicted by networks not trained on it)"
    if len(rows) < FEW:
        of = "training rows: too few to hold any out, so this does not measure generalisation"
    units = None if job.separation is None else job.separation.take(rows).units()
    yield Judged(of, judge(job.aim, unseen.answers, job.aim.y[rows], w, unseen.floor, units))


def _how(job: Job, model: Model) -> str:
    if job.separation is None:
        times = max(len(stage.flat) for stage in model.stages) // PARTS
        return f"cross-validation, {times} times" if len(job.aim.rows) <= SMALL and times > 1 else "cross-validation"
    later = "later than all training rows" if job.separation.time is not None else ""
    groups = "of groups that are not trained on" if job.separation.group is not None else ""
    return ", ".join(filter(None, (later, groups)))


def _copied(job: Job) -> Iterator[str]:
    """A note on rows of --holdout that are copies of training rows."""
    assert job.apart is not None
    if job.loaded is None:
        return
    other = job.loaded.frame.take(job.apart.rows)
    if number := between(job.frame(), job.aim.y, other, job.apart.y):
        yield f"--holdout: {number:,} of {len(other):,} held-out rows are copies of training rows"


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
    notes += _repeated(options.test, job, table, rows, y)
    answers, floor = streamed(model, table, job.roles, rows)
    figures = judge(job.aim, answers, y, None, floor)
    split = " (its test split)" if options.test in options.data else ""
    return Judged(f"rows of {options.test}{split}", figures), notes


def _repeated(file: str, job: Job, table: Table, rows: Array, y: Array) -> Iterator[str]:
    """Notes on rows of --test that are copies of training rows, of their groups, or not later than they are."""
    if job.loaded is None:
        return
    group, time = (name if name in table.columns else None for name in (job.roles.group, job.roles.time))
    who = Roles(job.roles.inputs, (), group=group, time=time, calendar=job.roles.calendar)
    found = gather(table, who).take(rows)
    if number := between(job.frame(), job.aim.y, found.frame, y):
        yield f"{file}: {number:,} of {len(rows):,} rows are copies of training rows"
    if found.group is not None and job.loaded.group is not None:
        known = set(job.loaded.group[job.aim.rows].tolist())
        if number := sum(one in known for one in found.group.tolist()):
            yield f"{file}: {number:,} of {len(rows):,} rows are of groups that were trained on"
    if found.time is not None and job.loaded.time is not None:
        number = int((found.time <= job.loaded.time[job.aim.rows].max()).sum())
        yield from [f"{file}: {number:,} of {len(rows):,} rows are not later than all training rows"] if number else []
