"""Incremental training (`partial_fit`).

The first call measures the columns and draws the networks; the encoder is then fixed, because the weights depend on
it. Every call is one pass over its rows in small batches at a constant rate, since the number of further rows is
unknown. Nothing is held out; the loss of a call is measured before its rows are learned.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import Rows
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.stage import PLAIN, Stage
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.train import Shape, advance, judge

Array = np.ndarray
HIDDEN, LANES, BATCH = (64,), 4, 32
RATE = 3e-3
"""The middle of the rates that sweeps find; constant, because the end of the training is unknown."""


def begin(frame: Frame, y: Array, task: Task, options: Options, weights: Array | None = None) -> Model:
    """A model at its initial weights, with its columns measured on these rows."""
    encoder = Encoder.of(frame, weights, np.abs(task.encode(y).reshape(len(y), -1)))
    shape = Shape(options.views or PLAIN, options.hidden or HIDDEN, options.activation or "relu")
    sizes = (encoder.width(shape.views), *shape.hidden, task.loss.outputs)
    net = Dense(sizes, options.lanes or LANES, shape.activation)
    net.draw([options.seed * 1000 + lane for lane in range(net.lanes)])
    return Model(encoder, task, (Stage(shape, net.flat, 1.0),))


@dataclass(frozen=True, eq=False)
class Pace:
    """The state of incremental training: the number of calls, and an optimizer per stage."""

    calls: int = 0
    adams: tuple[Any, ...] = ()


def follow(
    model: Model, pace: Pace, frame: Frame, y: Array, options: Options, weights: Array | None = None
) -> tuple[Model, Pace, float]:
    """The model after one pass over some rows, and its loss on them before (mean over rows and stages)."""
    rng = np.random.Generator(np.random.Philox(key=[options.seed, 0xF0110 + pace.calls]))
    encoded, w = model.task.encode(y), None if weights is None else weights.astype(np.float32)
    nets = [_net(stage, model) if stage.trainable else None for stage in model.stages]
    adams = pace.adams or tuple(AdamW(net.flat.shape, net.decayed(options.decay)) if net else None for net in nets)
    costs = []
    base = _base(model, frame)
    for stage, net, adam in zip(model.stages, nets, adams, strict=True):
        if net is None or adam is None:  # it is solved, not trained, and other stages may build on it
            continue
        goal = encoded - base if stage.onto else encoded
        rows = Rows(with_one(model.encoder.encode(frame, stage.shape.views)), goal, w)
        costs.append(float(judge(net, rows.take(np.arange(len(rows))[None]), model.task.loss).mean()))
        _once(net, adam, rows, model.task.loss, options, rng)
    pairs = zip(model.stages, nets, strict=True)
    stages = tuple(replace(stage, flat=net.flat) if net else stage for stage, net in pairs)
    return (
        replace(model, stages=stages, unseen=None, conformal=None),
        Pace(pace.calls + 1, adams),
        float(np.mean(costs or [0.0])),
    )


def _base(model: Model, frame: Frame) -> Array:
    """What the linear stage predicts, (n, outputs); zeros without one."""
    for stage in model.stages:
        if stage.linear:
            return stage.answers(with_one(model.encoder.encode(frame, stage.shape.views)), model.task.loss)
    return np.zeros((len(frame), model.task.loss.outputs), np.float32)


def _net(stage: Stage, model: Model) -> Dense:
    inputs, outputs = model.encoder.width(stage.shape.views), model.task.loss.outputs
    net = Dense((inputs, *stage.shape.hidden, outputs), len(stage.flat), stage.shape.activation)
    net.flat[:] = stage.flat
    return net


def _once(net: Dense, adam: AdamW, rows: Rows, loss: Loss, options: Options, rng: np.random.Generator) -> None:
    """One pass over the rows, each lane in its own order."""
    order = rng.permuted(np.tile(np.arange(len(rows)), (net.lanes, 1)), axis=1)
    size, rate = options.batch or BATCH, np.array([[options.rate or RATE]], np.float32)
    for at in range(0, len(rows), size):
        advance(net, adam, loss, rows.take(order[:, at : at + size]), rate)
