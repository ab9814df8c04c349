"""The driver: exact statistics of all workers, averaged gradients, checkpoints, and the blend with a linear model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import Rows
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.machines.part import Setting
from unstuck.tabular.fit.model import Model, Watch
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.resources import UNLIMITED, Resources
from unstuck.tabular.fit.stage import STRAIGHT, Stage
from unstuck.tabular.fit.statistics import Seen, Statistics
from unstuck.tabular.fit.stream import BATCH, LANES, SLAB, tried, visited, with_floor
from unstuck.tabular.fit.task import Numbers
from unstuck.tabular.fit.train import Plan, Training, train

Array = np.ndarray


class Workers(Protocol):
    """Runs the methods of `Part` on every worker."""

    def keep(self, method: str, *arguments: Any) -> None:
        """Call a method that changes the state of every worker."""
        ...

    def each(self, method: str, *arguments: Any) -> list[Any]:
        """The results of a method of every worker, in order."""
        ...


@dataclass(frozen=True, eq=False)
class Spread:
    """The batches of workers, as `train` takes them: a batch is its number, and its rows stay where they are."""

    workers: Workers
    setting: Setting

    @property
    def steps(self) -> int:
        """Batches of a slab."""
        return self.setting.steps

    def epoch(self, number: int) -> Iterator[int]:
        """The numbers of the batches of a slab, which every worker reads first."""
        self.workers.keep("load", number)
        yield from range(self.steps)

    def held(self) -> Rows:
        """The held-out rows of all workers."""
        return self._seen(self._held)

    def own(self) -> Rows:
        """A sample of the training rows."""
        return self._seen(_joined(self.workers.each("own")))

    def straight(self) -> Rows:
        """The held-out rows as the linear stage receives them, (v, inputs + 1)."""
        x = with_one(self.setting.encoder.unfold(self._held.x, STRAIGHT))
        return Rows(x, self._held.y, self._held.w)

    @cached_property
    def _held(self) -> Rows:
        return _joined(self.workers.each("held"))

    def _seen(self, brief: Rows) -> Rows:
        x = with_one(self.setting.encoder.unfold(brief.x, self.setting.shape.views))
        return Rows(x[None], brief.y[None], None if brief.w is None else brief.w[None])

    def advance(self, net: Dense, adam: AdamW, loss: Loss, step: int, rate: Array) -> None:
        """One step along the mean gradient of all workers."""
        found = self.workers.each("gradient", step, net.flat)
        rows = sum(count for _, count in found)
        if rows:
            mean = np.sum([total for total, _ in found], axis=0) / rows
            adam.step(net.flat, mean, rate.astype(np.float64))


def learn_spread(
    workers: Workers,
    classes: bool,
    options: Options | None = None,
    watch: Watch | None = None,
    history: History | None = None,
    room: int = SLAB,
    resources: Resources | None = None,
    quantile: float | None = None,
) -> Model:
    """Fit the rows that workers hold; parameters as in `learn_streamed`, `room` for all workers together.

    The same rows, in the same order, give the same model up to the order of sums, whatever the number of workers.
    """
    options, history = options or Options(), history or History()
    seen, number = _measured(workers, classes, quantile)
    trial = tried(seen, options)
    slabs = max(1, math.ceil(4 * seen.rows * (seen.encoder.kept + 2) / room))
    steps = max(1, seen.rows // slabs // (options.batch or BATCH))
    lanes = options.lanes or LANES
    setting = Setting(seen.encoder, seen.task, trial.shape, lanes, seen.rows, slabs, steps, options.seed)
    workers.keep("set", setting)
    batches, epochs = Spread(workers, setting), options.epochs or visited(seen.rows, slabs)
    plan = Plan(
        trial.shape, lanes, options.batch or BATCH, epochs, max(3, epochs // 4), options.rate or trial.rate,
        options.decay, options.seed,
    )  # fmt: skip

    def noted(now: Training) -> None:
        history.note("spread", now)
        if watch is not None:
            watch(plan.shape, now)

    until = (resources or UNLIMITED).until(0.9)
    before: Any = history.recall("spread")
    taken: Any = batches  # its batches are numbers, which its `advance` understands
    done = train(taken, seen.task.loss, plan, noted, before, until=until, step=batches.advance, dtype=np.float64)
    done.net.flat[:] = done.best
    stage = Stage(plan.shape, done.best.astype(np.float32), 1.0, name="spread")
    note = f"{seen.rows} rows were read by {number} worker{'s' * (number > 1)}, in {slabs} slab{'s' * (slabs > 1)}"
    return with_floor(seen, batches, stage, done, options, note)


def _measured(workers: Workers, classes: bool, quantile: float | None) -> tuple[Statistics, int]:
    """The statistics of all rows, and the number of workers."""
    first, *others = workers.each("measured", classes)
    whole: Seen = first
    for other in others:
        whole.merge(other)
    seen = whole.statistics()
    if isinstance(seen.task, Numbers):
        seen = replace(seen, task=replace(seen.task, quantile=quantile))
    return seen, 1 + len(others)


def _joined(found: list[tuple[Array, Rows]]) -> Rows:
    """The rows of all workers, in the order of their numbers."""
    found = [(numbers, rows) for numbers, rows in found if len(numbers)]
    order = np.argsort(np.concatenate([numbers for numbers, _ in found]))
    parts = [rows for _, rows in found]
    w = None if parts[0].w is None else np.concatenate([one.w for one in parts if one.w is not None])
    return Rows(np.concatenate([one.x for one in parts]), np.concatenate([one.y for one in parts]), w).take(order)
