"""Evaluate a model on rows it was not trained on: its own held-out rows, --holdout, and --test."""

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
"""With fewer rows left over than lanes, the rows were merely not divisible by the number of lanes."""
WIDE = 1000
"""Rows with this many numbers are images, which are hardly ever duplicates."""


def judged(options: Namespace, job: Job, model: Model) -> tuple[list[Judged], list[str]]:
    """Evaluations on rows not used for training, and notes on them."""
    out, notes = list(_by_itself(job, model)), []
    if job.apart is not None:
        answers = _answers(model, job, job.apart.rows)
        of = f"rows held out with --holdout ({options.holdout:.0%})"
        out.append(Judged(of, judge(job.aim, answers, job.apart.y, job.apart.weights)))
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
    rows, w = _slabs(job) if job.loaded is None else _counted(job, model, unseen)
    if len(rows) != len(unseen.answers):
        return
    of = "held-out rows (cross-validation: each predicted by networks not trained on it)"
    if len(rows) < FEW:
        of = "training rows: too few to hold any out, so this does not measure generalisation"
    yield Judged(of, judge(job.aim, unseen.answers, job.aim.y[rows], w))


def _slabs(job: Job) -> tuple[Array, Array | None]:
    """The rows that training on slabs holds out, in order."""
    from unstuck.tabular.fit.statistics import mixed
    from unstuck.tabular.fit.stream import HELD

    n, weights = len(job.aim.rows), job.aim.weights
    rows = np.flatnonzero(mixed(np.arange(n), 2) < np.uint64(min(0.1, HELD / n) * (2**64 - 2**12)))
    return rows, None if weights is None else weights[rows]


def _counted(job: Job, model: Model, unseen: Unseen) -> tuple[Array, Array | None]:
    """The weight of each row: duplicates were merged for training and count separately here."""
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
    """Predictions for some rows of a table, in ascending order, read a batch at a time: (len(rows), k)."""
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
        raise TableError("has no row with a known target", file=options.test)
    notes = [f"{options.test}: {strange:,} rows skipped: their class does not occur in training"] if strange else []
    figures = judge(job.aim, streamed(model, table, job.roles, rows), y)
    split = " (its test split)" if options.test in options.data else ""
    return Judged(f"rows of {options.test}{split}", figures), notes
