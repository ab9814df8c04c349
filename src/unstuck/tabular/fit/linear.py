"""The linear stage: ridge regression, or logistic regression with a ridge penalty, on the columns as they are.

It is the floor that every fit is compared with. Its inputs are standardised but not bounded, so that what is linear
far out stays linear. Every lane is solved on its own training rows; the penalty with the lowest held-out loss is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.batches import Rows
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.loss import Loss, Sigmoid, Softmax, Squares
from unstuck.tabular.fit.network import Dense
from unstuck.tabular.fit.stage import STRAIGHT, Trained, unseen
from unstuck.tabular.fit.train import Shape

Array = np.ndarray
SHAPE = Shape(STRAIGHT, (), "relu")
PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-6)
"""Ridge penalties on the mean loss, for columns of variance 1."""
NUMBERS = 1e7
"""Most numbers of a lane's rows: a linear model needs no more."""
ROWS = 20_000
WIDE = 600
"""With more inputs the matrix of their products is not decomposed, and fewer penalties are tried."""
STEPS = (200, 40)
"""Most steps per penalty; with many inputs."""
DONE = 1e-5
"""A step this small, in standard deviations of a logit, ends the iteration."""


def linear(context: Context, lanes: int) -> Trained:
    """Solve every lane, with the penalty that has the lowest held-out loss over all lanes."""
    lanes = context.lanes(lanes)
    rows, split, loss = context.rows(STRAIGHT, lanes), context.split(lanes), context.loss
    most = int(min(ROWS, max(NUMBERS / rows.x.shape[1], 50)))
    found = [list(_solved(rows.take(train[:most]), loss)) for train in split.train]
    nets = [_net(rows, np.stack(flats), loss) for flats in zip(*found, strict=True)]
    told = [unseen(net, net.flat.copy(), rows, split, loss, None) for net in nets]
    costs = [loss.cost(out, *context.targets(held)) for held, out in told]
    best = int(np.argmin(np.nan_to_num(costs, nan=np.inf)))
    held, out = told[best]
    flat = nets[best].flat.astype(np.float32)
    flat = np.repeat(flat, lanes, axis=0) if len(flat) < lanes else flat
    return Trained(SHAPE, flat, held, out, "linear")


def everywhere(stage: Trained, context: Context) -> Array:
    """The predictions of each lane for all rows, (lanes, n, outputs) float32."""
    rows = context.rows(STRAIGHT, len(stage.flat))
    return _net(rows, stage.flat, context.loss).forward(rows.x[None]).astype(np.float32)


def _net(rows: Rows, flat: Array, loss: Loss) -> Dense:
    net = Dense((rows.x.shape[1] - 1, loss.outputs), len(flat), dtype=np.float64)
    net.flat[:] = flat
    return net


@dataclass(frozen=True, eq=False)
class _Lane:
    """Standardised inputs (m, d), targets (m, k), row weights of sum 1, and the loss with a bound of its curvature."""

    x: Array
    y: Array
    w: Array
    loss: Loss
    curvature: float


def _solved(rows: Rows, loss: Loss) -> Iterator[Array]:
    """The weights for every penalty, (inputs + 1) * outputs, biases last, for the inputs as they came."""
    x = rows.x[:, :-1].astype(np.float64)
    w = np.ones(len(x)) if rows.w is None else rows.w.astype(np.float64)
    w = (w / w.sum())[:, None]
    mean = (w * x).sum(axis=0)
    spread = np.sqrt((w * np.square(x - mean)).sum(axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    y = np.eye(loss.outputs)[rows.y] if isinstance(loss, Softmax) else rows.y.astype(np.float64)
    bound = {Squares: 1.0, Sigmoid: 0.25, Softmax: 0.5}[type(loss)]  # Boehning 1992
    lane = _Lane((x - mean) / spread, y, w, loss, bound)
    wide = x.shape[1] > WIDE
    step, most = _stepper(lane, wide), STEPS[wide]
    most = 1 if isinstance(loss, Squares) and not wide else most
    at = (np.zeros((x.shape[1], loss.outputs)), np.zeros(loss.outputs))
    for penalty in PENALTIES[1:5:2] if wide else PENALTIES:
        at = _descended(lane, step, penalty, at, most)
        slopes = at[0] / spread[:, None]
        yield np.concatenate([slopes.ravel(), at[1] - mean @ slopes]).astype(np.float32)


Step = Callable[[Array, float], Array]


def _stepper(lane: _Lane, wide: bool) -> Step:
    """The step for a gradient and a penalty that a bound of the curvature allows: by the inverse of the products of
    the inputs, or, with many inputs, by the largest eigenvalue."""
    if wide:
        most = lane.curvature * _largest(lane)
        return lambda slope, penalty: slope / (most + penalty)
    values, vectors = np.linalg.eigh((lane.x * lane.w).T @ lane.x)
    values = np.maximum(values, 0.0)[:, None]
    return lambda slope, penalty: vectors @ ((vectors.T @ slope) / (lane.curvature * values + penalty))


def _largest(lane: _Lane) -> float:
    """The largest eigenvalue of the products of the inputs, from above."""
    v = np.ones((lane.x.shape[1], 1))
    for _ in range(20):
        v = lane.x.T @ (lane.w * (lane.x @ (v / max(float(np.linalg.norm(v)), 1e-300))))
    return 1.1 * float(np.linalg.norm(v))


def _descended(lane: _Lane, step: Step, penalty: float, start: tuple[Array, Array], most: int) -> tuple[Array, Array]:
    """Minimise the mean loss and half the penalty times the squared weights, by accelerated steps (Nesterov 1983)
    that start anew when they go up (O'Donoghue and Candes 2015)."""
    (a, b), (before_a, before_b), t = start, start, 1.0
    for _ in range(most):
        after = (1 + math.sqrt(1 + 4 * t * t)) / 2
        push = (t - 1) / after
        here_a, here_b = a + push * (a - before_a), b + push * (b - before_b)
        error = (lane.loss.answers((lane.x @ here_a + here_b)[None])[0] - lane.y) * lane.w
        slope = lane.x.T @ error + penalty * here_a
        move_a, move_b = step(slope, penalty), error.sum(axis=0) / lane.curvature
        before_a, before_b, a, b = a, b, here_a - move_a, here_b - move_b
        t = 1.0 if (slope * (a - before_a)).sum() > 0 else after
        if np.sqrt(np.square(move_a).sum() + np.square(move_b).sum()) < DONE:
            break
    return a, b
