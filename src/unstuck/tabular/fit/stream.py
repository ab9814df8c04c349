"""Train on rows that do not fit in memory.

An epoch is a slab: as many rows as fit in memory, drawn at random from the whole file, whatever its order. Each pass
over the data yields one slab; after as many passes as there are slabs, every row has been drawn once. Rows are shuffled
within a slab. A table sorted by class therefore trains like a shuffled one, within a fixed amount of memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from unstuck.tabular.fit.batches import SAMPLE, Rows, holdout
from unstuck.tabular.fit.blend import share
from unstuck.tabular.fit.calibration import Calibration
from unstuck.tabular.fit.conformal import Conformal
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.floors import compared
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.linear import linear
from unstuck.tabular.fit.model import Model, Unseen, Watch, bounds_of, capped
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.resources import UNLIMITED, Resources
from unstuck.tabular.fit.stage import STRAIGHT, Stage, views_worth_trying
from unstuck.tabular.fit.statistics import Chunk, Chunks, Statistics, mixed, statistics
from unstuck.tabular.fit.sweep import Trial, sweep
from unstuck.tabular.fit.task import Numbers, Task
from unstuck.tabular.fit.train import Plan, Shape, Training, answers, train

Array = np.ndarray
SLAB = 1 << 28
"""Maximum bytes of rows in memory."""
HELD = 20_000
"""Number of held-out rows, at most a tenth of all."""
VISITS = 10_000_000
"""Number of rows trained on, but at least all rows once and at most ten times."""
HIDDEN, LANES, BATCH = (128, 64), 4, 256


@dataclass(frozen=True, eq=False)
class Slabs:
    """Batches from slabs, for lanes that share their batches."""

    chunks: Chunks
    encoder: Encoder
    task: Task
    views: tuple[str, ...]
    rows: int
    room: int
    size: int
    seed: int

    @property
    def parts(self) -> int:
        """The number of slabs that make up the data."""
        return max(1, math.ceil(4 * self.rows * (self.encoder.kept + 2) / self.room))

    @property
    def steps(self) -> int:
        """Approximate number of batches of a slab: the rows are drawn at random."""
        return max(1, self.rows // self.parts // self.size)

    def epoch(self, number: int) -> Iterator[Rows]:
        """The batches of a slab. Rows are stored unexpanded; the network's inputs are computed per batch."""
        turn, part = divmod(number, self.parts)
        slab = self._drawn(lambda rows: (mixed(rows, 3 + turn) % self.parts == part) & ~self._out(rows))
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number + 1]))
        order, size = rng.permutation(len(slab)), min(self.size, len(slab))
        for at in range(0, len(order) - size + 1, max(size, 1)):
            yield self._seen(slab.take(order[at : at + size]))

    def held(self) -> Rows:
        """The held-out rows."""
        return self._seen(self._held)

    def straight(self) -> Rows:
        """The held-out rows as the linear stage receives them, (v, inputs + 1)."""
        return Rows(with_one(self.encoder.unfold(self._held.x, STRAIGHT)), self._held.y, self._held.w)

    @cached_property
    def _held(self) -> Rows:
        return self._drawn(self._out)

    def own(self) -> Rows:
        """A sample of the training rows."""
        share = min(1.0, 4 * SAMPLE / max(self.rows, 1))
        return self._seen(self._drawn(lambda rows: below(rows, 5, share) & ~self._out(rows)))

    def _seen(self, brief: Rows) -> Rows:
        x = with_one(self.encoder.unfold(brief.x, self.views))
        return Rows(x[None], brief.y[None], None if brief.w is None else brief.w[None])

    def _out(self, rows: Array) -> Array:
        return below(rows, 2, min(0.1, HELD / max(self.rows, 1)))

    def _drawn(self, which: Callable[[Array], Array]) -> Rows:
        """The selected rows, unexpanded, written into one array as they are read: two copies would not fit."""
        most = int(1.1 * self.rows / self.parts) + 4096
        x, y, w, start, end = np.empty((most, self.encoder.kept), np.float32), [], [], 0, 0
        for chunk in self.chunks():
            index = np.flatnonzero(which(np.arange(start, start + len(chunk.frame))))[: most - end]
            start, own = start + len(chunk.frame), chunk.take(index)
            x[end : end + len(index)] = self.encoder.brief(own.frame)
            end += len(index)
            y.append(self.task.encode(own.y))
            w.append(own.w)
        weights = None if not w or w[0] is None else np.concatenate(w).astype(np.float32)
        return Rows(x[:end], np.concatenate(y), weights)


def below(rows: Array, key: int, share: float) -> Array:
    """Which of some row numbers are drawn, about this share of them; another key draws others."""
    return mixed(rows, key) < np.uint64(min(share, 1.0) * (2**64 - 2**12))


def encoded(chunk: Chunk, encoder: Encoder, task: Task, views: tuple[str, ...]) -> Rows:
    """The network's inputs for a chunk."""
    w = None if chunk.w is None else chunk.w.astype(np.float32)
    return Rows(with_one(encoder.encode(chunk.frame, views)), task.encode(chunk.y), w)


def learn_streamed(
    chunks: Chunks,
    classes: bool,
    options: Options | None = None,
    watch: Watch | None = None,
    history: History | None = None,
    room: int = SLAB,
    resources: Resources | None = None,
    quantile: float | None = None,
) -> Model:
    """Fit rows that are read repeatedly: `chunks()` yields them from first to last, with their targets.

    `classes`: whether the target holds classes (otherwise numbers, (n, k)). `room`: bytes of rows in memory.
    `quantile`: as in `Numbers`. `resources`: the time, of which one pass over the data is not interrupted. The result
    depends on the rows and their order, not on the chunks.
    """
    options, history = options or Options(), history or History()
    seen = statistics(chunks, classes)
    if isinstance(seen.task, Numbers):
        seen = replace(seen, task=replace(seen.task, quantile=quantile))
    trial = tried(seen, options)
    batches = Slabs(
        chunks, seen.encoder, seen.task, trial.shape.views, seen.rows, room, options.batch or BATCH, options.seed
    )
    epochs = options.epochs or visited(seen.rows, batches.parts)
    plan = Plan(
        trial.shape, options.lanes or LANES, batches.size, epochs, max(3, epochs // 4), options.rate or trial.rate,
        options.decay, options.seed,
    )  # fmt: skip
    told = watch or (lambda shape, now: None)

    def noted(now: Training) -> None:
        history.note("stream", now)
        told(plan.shape, now)

    until = (resources or UNLIMITED).until(0.9)
    done = train(batches, seen.task.loss, plan, noted, history.recall("stream"), until=until)
    done.net.flat[:] = done.best
    note = f"{seen.rows} rows were read in slabs of about {seen.rows // batches.parts}, drawn at random from all data"
    return with_floor(seen, batches, Stage(plan.shape, done.best, 1.0, name="stream"), done, options, note)


def visited(rows: int, slabs: int) -> int:
    """How many slabs are trained on, of so many that make up the rows."""
    visits = min(10 * rows, max(rows, VISITS))
    return max(2, math.ceil(visits / max(rows // slabs, 1)))


class Held(Protocol):
    """Where the held-out rows are: `Slabs`, or workers."""

    def held(self) -> Rows:
        """As the networks receive them, (1, v, inputs + 1)."""
        ...

    def straight(self) -> Rows:
        """As the linear stage receives them, (v, inputs + 1)."""
        ...


def with_floor(seen: Statistics, batches: Held, stage: Stage, done: Training, options: Options, note: str) -> Model:
    """The network, blended with a linear model of the sample where that pays on the held-out rows."""
    context, loss, held = sampled(seen, options), seen.task.loss, batches.straight()
    out, y, w = answers(done.net, batches.held().x[0], loss).mean(axis=0), held.y, held.w
    found = linear(context, 1)
    floor = Stage(found.shape, found.flat, 1.0, name=found.name)
    bounds = bounds_of(loss, seen.task.encode(seen.ends) if seen.ends is not None else context.y)
    told = capped(floor.answers(held.x, loss), bounds)
    a = share(loss, out, told, y, w, 0.0)
    mixed = capped((1 - a) * out + a * told, bounds)
    calibration = Calibration.of(loss, mixed, y, w)
    mixed = calibration.apply(mixed, loss)
    stages = tuple(one for one in (replace(stage, weight=1 - a), replace(floor, weight=a)) if one.weight > 0)
    unseen = Unseen(np.zeros(0, np.int64), seen.task.decode(mixed), np.ones(len(y)), seen.task.decode(told))
    notes = (note, *compared(replace(context, y=y, w=w), np.arange(len(y)), mixed, told))
    task, conformal = seen.task, None
    if isinstance(task, Numbers):
        conformal = Conformal.of(task.decode(y) - unseen.answers, w)
    return Model(seen.encoder, task, stages, calibration, unseen, notes, bounds, floor, conformal=conformal)


def sampled(seen: Statistics, options: Options) -> Context:
    """The sample as the training rows of a stage in memory."""
    sample, y = seen.sample, seen.task.encode(seen.sample.y)
    w = None if sample.w is None else (sample.w / sample.w.mean()).astype(np.float32)
    return Context(
        seen.encoder, sample.frame, y, w, np.ones(len(y)), seen.task.strata(y), None, seen.task.loss, options,
        lambda shape, now: None, History(),
    )  # fmt: skip


def tried(seen: Statistics, options: Options) -> Trial:
    """Choose the views and the rate on the sample."""
    rng = np.random.Generator(np.random.Philox(key=[options.seed, 0xF01D]))
    hidden, activation = options.hidden or HIDDEN, options.activation or "relu"
    trials = []
    for views in [options.views] if options.views else views_worth_trying(seen.encoder):
        rows = encoded(seen.sample, seen.encoder, seen.task, views)
        split = holdout(seen.task.strata(rows.y), 0.2, rng)
        trials.append(sweep(rows, split, seen.task.loss, Shape(views, hidden, activation), options.seed))
    return min(trials, key=lambda trial: trial.ends.min())
