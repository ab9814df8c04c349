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
from unstuck.tabular.fit.ensemble import PLAIN, Crew, Wishes
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.model import Model
from unstuck.tabular.fit.network import Dense, with_one
from unstuck.tabular.fit.task import Task
from unstuck.tabular.fit.train import Shape, advance, judge

Array = np.ndarray
HIDDEN, LANES, BATCH = (64,), 4, 32
RATE = 3e-3
"""In the middle of the rates that sweeps find; without an end in sight there is nothing to anneal to."""


def begin(frame: Frame, y: Array, task: Task, wishes: Wishes, weights: Array | None = None) -> Model:
    """A model at its first weights, its columns measured on these rows."""
    encoder = Encoder.of(frame, weights, np.abs(task.encode(y).reshape(len(y), -1)))
    shape = Shape(wishes.views or PLAIN, wishes.hidden or HIDDEN, wishes.activation or "relu")
    net = Dense((encoder.width(shape.views), *shape.hidden, task.loss.outputs), wishes.lanes or LANES, shape.activation)
    net.draw([wishes.seed * 1000 + lane for lane in range(net.lanes)])
    return Model(encoder, task, (Crew(shape, net.flat, 1.0),))


@dataclass(frozen=True, eq=False)
class Pace:
    """Where a model that learns from row to row stands: its calls so far, and an optimizer per crew."""

    calls: int = 0
    adams: tuple[Any, ...] = ()


def follow(
    model: Model, pace: Pace, frame: Frame, y: Array, wishes: Wishes, weights: Array | None = None
) -> tuple[Model, Pace, float]:
    """The model after one pass over some rows, and what these cost before it (mean over rows and crews)."""
    rng = np.random.Generator(np.random.Philox(key=[wishes.seed, 0xF0110 + pace.calls]))
    encoded, w = model.task.encode(y), None if weights is None else weights.astype(np.float32)
    nets = [_net(crew, model) for crew in model.crews]
    adams = pace.adams or tuple(AdamW(net.flat.shape, net.decayed(wishes.decay)) for net in nets)
    costs = []
    for crew, net, adam in zip(model.crews, nets, adams, strict=True):
        rows = Rows(with_one(model.encoder.encode(frame, crew.shape.views)), encoded, w)
        costs.append(float(judge(net, rows.take(np.arange(len(rows))[None]), model.task.loss).mean()))
        _once(net, adam, rows, model.task.loss, wishes, rng)
    crews = tuple(replace(crew, flat=net.flat) for crew, net in zip(model.crews, nets, strict=True))
    return replace(model, crews=crews, unseen=None), Pace(pace.calls + 1, adams), float(np.mean(costs))


def _net(crew: Crew, model: Model) -> Dense:
    inputs, outputs = model.encoder.width(crew.shape.views), model.task.loss.outputs
    net = Dense((inputs, *crew.shape.hidden, outputs), len(crew.flat), crew.shape.activation)
    net.flat[:] = crew.flat
    return net


def _once(net: Dense, adam: AdamW, rows: Rows, loss: Loss, wishes: Wishes, rng: np.random.Generator) -> None:
    """Every row once, each lane in an order of its own."""
    order = rng.permuted(np.tile(np.arange(len(rows)), (net.lanes, 1)), axis=1)
    size, rate = wishes.batch or BATCH, np.array([[wishes.rate or RATE]], np.float32)
    for at in range(0, len(rows), size):
        advance(net, adam, loss, rows.take(order[:, at : at + size]), rate)
