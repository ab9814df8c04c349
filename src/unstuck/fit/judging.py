"""How good a model is on rows that it was not trained on: its own held-out ones, a share kept apart, another file."""

from __future__ import annotations

from argparse import Namespace

import numpy as np

from unstuck.fit.figures import judge
from unstuck.fit.fitted import Judged
from unstuck.fit.intake import frame_of, gather
from unstuck.fit.job import Job, names_in, opened_table
from unstuck.fit.ladder import FEW
from unstuck.fit.model import Model
from unstuck.fit.roles import Roles
from unstuck.tables import Table, TableError

Array = np.ndarray


def judged(options: Namespace, job: Job, model: Model) -> tuple[list[Judged], list[str]]:
    """Figures of rows that were not trained on, and what is to be said about them."""
    out, notes, unseen = [], [], model.unseen
    if unseen is not None and len(unseen.rows):
        w = None if job.aim.weights is None else job.aim.weights[unseen.rows]
        of = "rows of the data, each answered by networks that were not trained on it"
        if len(unseen.rows) < FEW:
            of = "rows it was trained on: too few to hold any out, so this says nothing about others"
        out.append(Judged(of, judge(job.aim, unseen.answers, job.aim.y[unseen.rows], w)))
    if job.apart is not None:
        answers = _answers(model, job, job.apart.rows)
        of = f"rows that were held out to the end ({options.holdout:.0%})"
        out.append(Judged(of, judge(job.aim, answers, job.apart.y, job.apart.weights)))
    if options.test is not None:
        figures, more = _tested(options, job, model)
        out.append(figures)
        notes += more
    return out, notes


def _answers(model: Model, job: Job, rows: Array) -> Array:
    if job.intake is not None:
        return model.answers(job.intake.frame.take(rows))
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


def _tested(options: Namespace, job: Job, model: Model) -> tuple[Judged, list[str]]:
    """Figures of the rows of another file; of the same folder, its split called test."""
    same = options.test in options.data
    table = opened_table([options.test], options, "test" if same else None)
    targets = names_in(options.target, job.table)
    wanted = dict.fromkeys((*job.roles.inputs, *targets))
    kinds = {name: job.table.columns[name] for name in wanted}
    table = table.select(wanted).read_as(kinds)
    who = Roles({}, targets)
    rows, y, strange = job.aim.read(gather(table, who).targets)
    if not len(rows):
        raise TableError("has no row whose target is known", file=options.test)
    notes = [f"{options.test}: {strange:,} rows of classes that training never saw are not judged"] if strange else []
    figures = judge(job.aim, streamed(model, table, job.roles, rows), y)
    return Judged(f"rows of {options.test}{' (its test split)' if same else ''}", figures), notes
