"""How good a model is on rows that it was not trained on: its own held-out ones, a share kept apart, another file."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator

import numpy as np

from unstuck.tabular.fit.batches import canonical
from unstuck.tabular.fit.ensemble import FEW, FOLDED, PLAIN
from unstuck.tabular.fit.figures import judge
from unstuck.tabular.fit.fitted import Judged
from unstuck.tabular.fit.job import Job
from unstuck.tabular.fit.loading import frame_of, gather
from unstuck.tabular.fit.model import Model, Unseen
from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.tables import Table, TableError

Array = np.ndarray
LANES = 8
"""Fewer rows than there are networks side by side may be left over when they are dealt out."""
WIDE = 1000
"""Rows of so many numbers are pictures, and hardly two are the same."""


def judged(options: Namespace, job: Job, model: Model) -> tuple[list[Judged], list[str]]:
    """Figures of rows that were not trained on, and what is to be said about them."""
    out, notes = list(_by_itself(job, model)), []
    if job.apart is not None:
        answers = _answers(model, job, job.apart.rows)
        of = f"rows that were held out to the end ({options.holdout:.0%})"
        out.append(Judged(of, judge(job.aim, answers, job.apart.y, job.apart.weights)))
    if job.test is not None:
        figures, more = _tested(options, job, model, job.test)
        out.append(figures)
        notes += more
    return out, notes


def _by_itself(job: Job, model: Model) -> Iterator[Judged]:
    """By the rows that every network did without in training."""
    unseen = model.unseen
    if unseen is None or not len(unseen.answers):
        return
    rows, w = _slabs(job) if job.loaded is None else _counted(job, model, unseen)
    if len(rows) != len(unseen.answers):
        return
    of = "rows of the data, each answered by networks that were not trained on it"
    if len(rows) < FEW:
        of = "rows it was trained on: too few to hold any out, so this says nothing about others"
    yield Judged(of, judge(job.aim, unseen.answers, job.aim.y[rows], w))


def _slabs(job: Job) -> tuple[Array, Array | None]:
    """The rows that a training on slabs never draws, in their order."""
    from unstuck.tabular.fit.statistics import mixed
    from unstuck.tabular.fit.stream import HELD

    n, weights = len(job.aim.rows), job.aim.weights
    rows = np.flatnonzero(mixed(np.arange(n), 2) < np.uint64(min(0.1, HELD / n) * (2**64 - 2**12)))
    return rows, None if weights is None else weights[rows]


def _counted(job: Job, model: Model, unseen: Unseen) -> tuple[Array, Array | None]:
    """How much each row counts: equal ones were made one, and are as many here as they are in the data."""
    weights = job.aim.weights
    n, given = len(job.aim.rows), None if weights is None else weights[unseen.rows]
    all_differ = n - len(unseen.rows) < LANES if n <= FOLDED else model.encoder.width(PLAIN) > WIDE
    if all_differ:
        return unseen.rows, given
    x = model.encoder.encode(job.frame(), PLAIN)
    order, joint = canonical(x, job.aim.task.encode(job.aim.y), weights)
    if joint is None:
        return unseen.rows, given
    total = n if weights is None else weights.sum()
    count = np.zeros(n)
    count[order] = joint * (total / joint.sum(dtype=np.float64))
    return unseen.rows, np.rint(count[unseen.rows]) if weights is None else count[unseen.rows]


def _answers(model: Model, job: Job, rows: Array) -> Array:
    if job.loaded is not None:
        return model.answers(job.loaded.frame.take(rows))
    return streamed(model, job.table, job.roles, rows)


def streamed(model: Model, table: Table, who: Roles, rows: Array) -> Array:
    """Answers for some rows of a table, numbers in ascending order, read a batch at a time: (len(rows), k)."""
    at, out = 0, []
    for batch in table.select(who.inputs).batches():
        first, end = np.searchsorted(rows, [at, at + batch.num_rows])
        if first < end:
            out.append(model.answers(frame_of(batch, who).take(rows[first:end] - at)))
        at += batch.num_rows
    return np.concatenate(out) if out else np.zeros((0, model.task.loss.outputs))


def _tested(options: Namespace, job: Job, model: Model, table: Table) -> tuple[Judged, list[str]]:
    rows, y, strange = job.aim.read(gather(table, Roles({}, job.roles.targets)).targets)
    if not len(rows):
        raise TableError("has no row whose target is known", file=options.test)
    notes = [f"{options.test}: {strange:,} rows of classes that training never saw are not judged"] if strange else []
    figures = judge(job.aim, streamed(model, table, job.roles, rows), y)
    split = " (its test split)" if options.test in options.data else ""
    return Judged(f"rows of {options.test}{split}", figures), notes
