"""Train one stage: lanes of one shape in parallel, each with early stopping on its held-out loss."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstuck.tabular.fit.adam import AdamW
from unstuck.tabular.fit.batches import Batches, Rows
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.network import Dense

Array = np.ndarray
WARM = 0.05
"""The share of the steps over which the rate warms up."""
APART = 1 << 44
"""Between the seeds of two stages: no lane of one has the seed of a lane of another."""
JUDGED = 4096
"""Rows per evaluation batch: a larger one only needs more memory."""


@dataclass(frozen=True)
class Shape:
    """A network's inputs (views), hidden layers and activation."""

    views: tuple[str, ...] = ("smooth",)
    hidden: tuple[int, ...] = (32,)
    activation: str = "relu"


@dataclass(frozen=True)
class Plan:
    """The hyperparameters of a stage."""

    shape: Shape
    lanes: int
    batch: int
    epochs: int
    patience: int
    rate: float
    decay: float = 0.02
    seed: int = 0
    number: int = 0
    """The stage's place in the ensemble: every stage draws its own first weights."""


@dataclass(frozen=True)
class Epoch:
    """The result of an epoch: mean losses over the lanes, on a sample of the training rows and on the held-out rows."""

    number: int
    of: int
    train: float
    held: float


@dataclass
class Training:
    """The complete state between two epochs."""

    net: Dense
    adam: AdamW
    best: Array
    """(lanes, parameters): each lane's weights at its lowest held-out loss."""
    least: Array
    since: Array
    """Epochs since the best one, per lane."""
    curve: list[Epoch]

    @classmethod
    def begin(
        cls, inputs: int, loss: Loss, plan: Plan, start: Array | None = None, dtype: type = np.float32
    ) -> Training:
        """At the initial weights, or at `start`, (lanes, parameters)."""
        net = Dense((inputs, *plan.shape.hidden, loss.outputs), plan.lanes, plan.shape.activation, dtype)
        net.draw([plan.seed * 1000 + APART * plan.number + lane for lane in range(plan.lanes)])
        if start is not None:
            net.flat[:] = start
        adam = AdamW(net.flat.shape, net.decayed(plan.decay), dtype)
        return cls(net, adam, net.flat.copy(), np.full(plan.lanes, np.inf), np.zeros(plan.lanes, np.int64), [])

    def state(self) -> dict[str, Array]:
        """The state as arrays."""
        adam = {"first": self.adam.first, "second": self.adam.second, "steps": np.array([self.adam.steps])}
        curve = np.array([[e.number, e.of, e.train, e.held] for e in self.curve])
        return {
            "flat": self.net.flat,
            "best": self.best,
            "least": self.least,
            "since": self.since,
            "curve": curve,
        } | adam

    def restore(self, state: dict[str, Array]) -> None:
        """Restore a saved state."""
        self.net.flat[:] = state["flat"]
        self.adam.first[:], self.adam.second[:] = state["first"], state["second"]
        self.adam.steps = int(state["steps"][0])
        self.best, self.least, self.since = state["best"].copy(), state["least"].copy(), state["since"].copy()
        self.curve = [Epoch(int(a), int(b), float(c), float(d)) for a, b, c, d in state["curve"]]


Watch = Callable[[Training], None]
Step = Callable[[Dense, AdamW, Loss, Any, Array], None]


def advance(net: Dense, adam: AdamW, loss: Loss, part: Rows, rate: Array) -> None:
    """One step of every lane at `rate`, (1 or lanes, 1)."""
    slope = loss.slope(net.forward(part.x), part.y)
    share = np.float32(1 / part.x.shape[1])
    slope *= share if part.w is None else part.w[..., None] * share
    net.backward(slope)
    adam.step(net.flat, net.gradient, rate)


def train(
    batches: Batches, loss: Loss, plan: Plan, watch: Watch, before: dict | None = None, start: Array | None = None,
    until: float | None = None, step: Step = advance, dtype: type = np.float32,
) -> Training:  # fmt: skip
    """Train a stage. `before`: the state of an interrupted training to continue. `start`: the weights of a finished
    one, (lanes, parameters), which are kept if no epoch improves on them.
    `until`: when to end, on the clock `time.monotonic`; the rate decays as the time runs out. `step`: takes a step for
    a batch. `dtype`: of the weights."""
    held, own = batches.held(), batches.own()
    now = Training.begin(held.x.shape[-1] - 1, loss, plan, start, dtype)
    if start is not None:
        now.least = judge(now.net, held, loss)
    if before is not None:
        now.restore(before)
    begun = time.monotonic()
    for number in range(len(now.curve), plan.epochs):
        if number and ((now.since > plan.patience).all() or _over(until)):
            break
        rates = _rates(plan.rate, now.adam.steps, batches.steps * plan.epochs, begun, until)
        for rate, part in zip(rates, batches.epoch(number), strict=False):
            step(now.net, now.adam, loss, part, rate)
        costs = judge(now.net, held, loss)
        _keep(now, costs)
        now.curve.append(Epoch(number + 1, plan.epochs, float(judge(now.net, own, loss).mean()), float(costs.mean())))
        watch(now)
    return now


def _rates(rate: float, done: int, steps: int, begun: float, until: float | None) -> Iterator[Array]:
    """The rate of each step; ends when the time is over."""
    while not _over(until):
        gone = 0.0 if until is None else (time.monotonic() - begun) / max(until - begun, 1e-9)
        part = gone if gone > (done + 1) / steps else done / steps
        yield np.array([[rate * schedule(part)]], np.float32)
        done += 1


def _over(until: float | None) -> bool:
    return until is not None and time.monotonic() >= until


def schedule(part: float) -> float:
    """Linear warm-up over the first twentieth, then cosine decay to 0."""
    if part < WARM:
        return part / WARM + 1e-3
    return 0.5 * (1 + math.cos(math.pi * min((part - WARM) / (1 - WARM), 1.0)))


def judge(net: Dense, rows: Rows, loss: Loss) -> Array:
    """Mean loss of each lane on rows of (1 or lanes, v): (lanes,); infinite instead of NaN."""
    total, weight = np.zeros(net.lanes), np.zeros(net.lanes)
    for at in range(0, rows.x.shape[1], JUDGED):
        part = rows.cut(slice(at, at + JUDGED))
        losses = loss.losses(net.forward(part.x), part.y)
        w = np.ones(losses.shape) if part.w is None else np.broadcast_to(part.w, losses.shape)
        total, weight = total + (losses * w).sum(axis=-1), weight + w.sum(axis=-1)
    return np.nan_to_num(total / weight, nan=np.inf)


def _keep(now: Training, held: Array) -> None:
    better = held < now.least
    now.least = np.where(better, held, now.least)
    now.best[better] = now.net.flat[better]
    now.since = np.where(better, 0, now.since + 1)


def answers(net: Dense, x: Array, loss: Loss) -> Array:
    """Each lane's predictions for x (n, d + 1), shared by the lanes: (lanes, n, outputs) float32."""
    out = np.empty((net.lanes, len(x), loss.outputs), np.float32)
    for at in range(0, len(x), JUDGED):
        part = x[None, at : at + JUDGED].astype(net.flat.dtype, copy=False)
        out[:, at : at + JUDGED] = loss.answers(net.forward(part))
    return out
