"""Fit a table on a Ray cluster: in memory, stage by stage; beyond memory, with the rows spread over workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from unstuck.tabular.fit.checkpoint import mark_of, opened
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.job import Job, chunks
from unstuck.tabular.fit.loading import gather
from unstuck.tabular.fit.machines.rayed import Actors, Tasks, cluster
from unstuck.tabular.fit.machines.training import learn_spread
from unstuck.tabular.fit.model import Model, Watch, learn
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.resources import UNLIMITED, Resources
from unstuck.tabular.fit.roles import roles
from unstuck.tabular.fit.stream import SLAB
from unstuck.tabular.fit.target import target
from unstuck.tabular.fit.task import Numbers
from unstuck.tabular.tables import Table


def fit_table(
    table: Table, targets: Sequence[str], address: str = "local:2", *, task: str | None = None,
    options: Options | None = None, checkpoint: Path | None = None, room: int = SLAB,
) -> Model:  # fmt: skip
    """Train on the rows of a table, spread over the workers of a Ray cluster, whatever its size.

    The files must have the same paths on all machines. `address`: as in `cluster`. `task`: binary, multiclass or
    regression; None: chosen from the target. `checkpoint`: a folder, in which an interrupted training of the same table
    and options goes on. `room`: bytes of rows in the memory of all workers together. Raises TableError and CannotFit.
    """
    who, chosen = roles(table, targets), options or Options()
    loaded = gather(table, replace(who, inputs={}))
    aim = target(targets, [table.columns[name] for name in targets], loaded.targets, None, task)
    history = History()
    if checkpoint is not None:
        files = [(source.file, Path(source.file).stat().st_size) for source in table.sources]
        history = opened(checkpoint, mark_of(chosen, aim.sort, who.inputs, list(targets), files, room), True)
    return learn_on(address, Job(table, who, aim, None, None), chosen, None, history, UNLIMITED, room)


def learn_on(
    address: str, job: Job, options: Options, watch: Watch | None, history: History, resources: Resources,
    room: int = SLAB,
) -> Model:  # fmt: skip
    """The model of a job. In memory, the stages and trees of the usual ensemble are trained by tasks, with the same
    bits as in one process; beyond memory, workers hold the rows."""
    aim = job.aim
    with cluster(address) as workers:
        if job.loaded is not None:
            resources, own = replace(resources, machines=Tasks()), job.separation
            frame = job.frame()
            return learn(
                frame, aim.y, aim.task, options, aim.weights, watch, history, resources=resources, separation=own
            )
        if aim.sort == "multilabel" or job.separation is not None:
            raise CannotFit("the table does not fit in memory: multilabel training, --group and --time need it there")
        actors = Actors(partial(chunks, job), workers)
        quantile = aim.task.quantile if isinstance(aim.task, Numbers) else None
        try:
            return learn_spread(actors, aim.sort != "regression", options, watch, history, room, resources, quantile)
        finally:
            actors.close()
