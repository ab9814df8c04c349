"""Train one stage of the ensemble, and predict with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit import inference
from unstuck.tabular.fit.batches import InMemory, Rows, Split
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.network import Dense
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.sweep import sweep
from unstuck.tabular.fit.train import Plan, Shape, Training, answers, train
from unstuck.tabular.fit.trees import Trees

Array = np.ndarray
PLAIN, RANKED, STEPPED = ("smooth",), ("smooth", "normal"), ("smooth", "steps")
STRAIGHT = ("straight",)
"""The views of a linear stage; no network has them."""
NARROW = 40
"""Up to this many varying columns, all views are tried."""
VISITS = 8_000_000
"""Maximum number of rows a lane is trained on, over all epochs."""
WORK = 4e12
"""Default budget of a stage in floating-point operations: about a minute of one core."""
LEAST = 10
"""Epochs of a stage beyond the budget."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One trained stage: the weights of its lanes and its share of the blend."""

    shape: Shape
    flat: Array
    weight: float
    onto: bool = False
    """Whether it predicts the errors of the linear stage, whose predictions must be added."""
    name: str = ""
    trees: Trees | None = None
    """The trees of the boosted stage, which has no weights."""

    @property
    def linear(self) -> bool:
        """Whether it is the linear stage."""
        return self.shape.views == STRAIGHT

    @property
    def trainable(self) -> bool:
        """Whether it consists of networks, which can be trained further."""
        return not self.linear and self.trees is None

    def answers(self, x: Array, loss: Loss) -> Array:
        """The mean of the lanes' predictions for x (n, inputs + 1), whose last column is 1: (n, outputs)."""
        if self.trees is not None:
            return loss.answers(self.trees.raw(x)).mean(axis=0).astype(np.float32)
        return inference.answers(self.shape, self.flat, x, loss)


@dataclass(frozen=True, eq=False)
class Trained:
    """A stage, and its predictions for rows that the predicting lane was not trained on."""

    shape: Shape
    flat: Array
    held: Array
    """Row numbers (v,), ascending."""
    answers: Array
    """(v, outputs)"""
    name: str = ""
    base: Array | None = None
    """What the stage adds to: the linear stage's predictions by each of its lanes, (lanes, n, outputs)."""
    trees: Trees | None = None
    rate: float = 0.0
    """The learning rate."""

    def weighing(self, weight: float) -> Stage:
        """As a part of a blend."""
        return Stage(self.shape, self.flat, weight, self.base is not None, self.name, self.trees)

    def of(self, rows: Array) -> Array:
        """Its predictions for some of the held-out rows."""
        return self.answers[np.searchsorted(self.held, rows)]

    def cost(self, context: Context) -> float:
        """Mean loss on its held-out rows."""
        return context.loss.cost(self.answers, *context.targets(self.held))


def trained(
    context: Context, shape: Shape, lanes: int, epochs: int | None, number: int = 0,
    base: Array | None = None, start: Array | None = None, rate: float | None = None,
    time: float = 0.5,
) -> Trained:  # fmt: skip
    """Train a stage. `number`: its place in the ensemble, which draws its first weights; `base`: as in `Trained`;
    `rate`: found earlier; `time`: the share of the time left that it may take, where the time is limited."""
    options, until = context.options, context.resources.until(time)
    lanes = len(start) if start is not None else context.lanes(lanes)
    rows, split = context.rows(shape.views, lanes), context.split(lanes)
    rate = options.rate or rate
    if rate is None:
        first = None if start is None else start[0]
        soon = context.resources.until(time / 4)
        rate = sweep(rows, split, context.loss, shape, options.seed, start=first, base=base, until=soon).rate
    m = split.train.shape[1]
    batch = batch_of(options, m)
    epochs = options.epochs or _affordable(context, shape, lanes, m, epochs or int(np.clip(400 * batch / m, 4, 60)))
    plan = Plan(shape, lanes, batch, epochs, max(epochs // 4, 3), rate, options.decay, options.seed, number)
    words = [str(number), *shape.views, *map(str, shape.hidden), shape.activation, str(lanes), str(epochs)]
    name = "-".join([*words, *(["onto"] if base is not None else [])])
    batches = InMemory(rows, split, batch, options.seed + (number << 34), base)
    done = train(
        batches, context.loss, plan, lambda now: _noted(context, name, shape, now), context.history.recall(name), start,
        until,
    )  # fmt: skip
    held, out = unseen(done.net, done.best, rows, split, context.loss, base)
    return Trained(shape, done.best, held, out, name, base, rate=rate)


def _affordable(context: Context, shape: Shape, lanes: int, rows: int, epochs: int) -> int:
    """At most `epochs`, within the budget of rows and of operations."""
    work = work_of(context, shape) * rows * lanes
    return min(epochs, max(VISITS // rows, 1), max(int(WORK / work), LEAST))


def work_of(context: Context, shape: Shape) -> float:
    """Operations of a training step of one lane per row."""
    return 6.0 * Dense.count((context.encoder.width(shape.views), *shape.hidden, context.loss.outputs))


def batch_of(options: Options, rows: int) -> int:
    """The batch size for this many training rows."""
    return min(options.batch or 2 ** int(math.log2(max(min(rows / 16, 256), 16))), rows)


def _noted(context: Context, name: str, shape: Shape, now: Training) -> None:
    context.history.note(name, now)
    context.watch(shape, now)


def unseen(net: Dense, flat: Array, rows: Rows, split: Split, loss: Loss, base: Array | None) -> tuple[Array, Array]:
    """Row numbers and predictions for them, each from the lane that held the row out; from the mean of all lanes if
    they share their held-out rows."""
    net.flat[:] = flat
    if len(split.held) == 1:
        held = split.held[0]
        out = answers(net, rows.x[held], loss)
        return held, (out if base is None else out + base[:, held]).mean(axis=0)
    out = loss.answers(net.forward(rows.x.take(split.held, 0)))
    if base is not None:
        out = out + np.take_along_axis(base, split.held[..., None], axis=1)
    return averaged(split.held.ravel(), out.reshape(split.held.size, -1))


def averaged(held: Array, answers: Array) -> tuple[Array, Array]:
    """Row numbers in ascending order, and the mean of the predictions (v, outputs) for each of them."""
    order = np.argsort(held, kind="stable")
    rows, first, times = np.unique(held[order], return_index=True, return_counts=True)
    if len(rows) == len(held):
        return rows, answers[order]
    sums = np.add.reduceat(answers[order], first, axis=0)
    return rows, sums / times[:, None].astype(answers.dtype)


def views_worth_trying(encoder: Encoder) -> list[tuple[str, ...]]:
    """The views of the columns that the trials compare."""
    return [PLAIN, RANKED, STEPPED] if len(encoder.numeric.kept) <= NARROW else [PLAIN]
