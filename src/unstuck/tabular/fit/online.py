"""Learning a few rows at a time, as they come.

The first call measures the columns and draws the networks; what was measured stays, since the weights mean something
behind that very measure only. Every call is one pass over its rows, in small batches, at a steady rate: nobody knows
how many more will come. Nothing is held out; a call's loss is that of its rows before they were learned from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import Rows
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.ensemble import PLAIN, Stage
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.train import Shape, advance, judge

Array = np.ndarray
HIDDEN, LANES, BATCH = (64,), 4, 32
RATE = 3e-3
"""In the middle of the rates that sweeps find; without an end in sight there is nothing to anneal to."""


def begin(frame: Frame, y: Array, task: Task, options: Options, weights: Array | None = None) -> Model:
    """A model at its first weights, its columns measured on these rows."""
    encoder = Encoder.of(frame, weights, np.abs(task.encode(y).reshape(len(y), -1)))
    shape = Shape(options.views or PLAIN, options.hidden or HIDDEN, options.activation or "relu")
    sizes = (encoder.width(shape.views), *shape.hidden, task.loss.outputs)
    net = Dense(sizes, options.lanes or LANES, shape.activation)
    net.draw([options.seed * 1000 + lane for lane in range(net.lanes)])
    return Model(encoder, task, (Stage(shape, net.flat, 1.0),))


@dataclass(frozen=True, eq=False)
class Pace:
    """Where a model that learns from row to row stands: its calls so far, and an optimizer per stage."""

    calls: int = 0
    adams: tuple[Any, ...] = ()


def follow(
    model: Model, pace: Pace, frame: Frame, y: Array, options: Options, weights: Array | None = None
) -> tuple[Model, Pace, float]:
    """The model after one pass over some rows, and what these cost before it (mean over rows and stages)."""
    rng = np.random.Generator(np.random.Philox(key=[options.seed, 0xF0110 + pace.calls]))
    encoded, w = model.task.encode(y), None if weights is None else weights.astype(np.float32)
    nets = [_net(stage, model) for stage in model.stages]
    adams = pace.adams or tuple(AdamW(net.flat.shape, net.decayed(options.decay)) for net in nets)
    costs = []
    for stage, net, adam in zip(model.stages, nets, adams, strict=True):
        rows = Rows(with_one(model.encoder.encode(frame, stage.shape.views)), encoded, w)
        costs.append(float(judge(net, rows.take(np.arange(len(rows))[None]), model.task.loss).mean()))
        _once(net, adam, rows, model.task.loss, options, rng)
    stages = tuple(replace(stage, flat=net.flat) for stage, net in zip(model.stages, nets, strict=True))
    return replace(model, stages=stages, unseen=None), Pace(pace.calls + 1, adams), float(np.mean(costs))


def _net(stage: Stage, model: Model) -> Dense:
    inputs, outputs = model.encoder.width(stage.shape.views), model.task.loss.outputs
    net = Dense((inputs, *stage.shape.hidden, outputs), len(stage.flat), stage.shape.activation)
    net.flat[:] = stage.flat
    return net


def _once(net: Dense, adam: AdamW, rows: Rows, loss: Loss, options: Options, rng: np.random.Generator) -> None:
    """Every row once, each lane in an order of its own."""
    order = rng.permuted(np.tile(np.arange(len(rows)), (net.lanes, 1)), axis=1)
    size, rate = options.batch or BATCH, np.array([[options.rate or RATE]], np.float32)
    for at in range(0, len(rows), size):
        advance(net, adam, loss, rows.take(order[:, at : at + size]), rate)
