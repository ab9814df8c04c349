"""The linear stage: ridge regression, or logistic regression with a ridge penalty, on the columns as they are.

It is the floor that every fit is compared with. Its inputs are standardised but not bounded, so that what is linear
far out stays linear. Every lane is solved on its own training rows; the penalty with the lowest held-out loss is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.batches import Rows, Split
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.loss import Loss, Sigmoid, Softmax, Squares
from unstuck.tabular.fit.network import Dense
from unstuck.tabular.fit.pinball import Pinball
from unstuck.tabular.fit.stage import STRAIGHT, Trained, unseen
from unstuck.tabular.fit.train import Shape

Array = np.ndarray
SHAPE = Shape(STRAIGHT, (), "relu")
PENALTIES = (10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-6)
"""Ridge penalties on the mean loss, for columns of variance 1."""
NUMBERS = 1e7
"""Most numbers of a lane's rows: a linear model needs no more."""
ROWS = 20_000
ENOUGH = 1000
"""With so many rows held out by a lane, the penalty is chosen on one lane."""
WIDE = 600
"""With more inputs the matrix of their products is not decomposed, and fewer penalties are tried."""
STEPS = (200, 40)
"""Most steps per penalty; with many inputs."""
NARROW = 200
"""Up to this many inputs a logit is found by Newton's method."""
MOST = 25
"""Most steps of it per penalty."""
TINY = 1e-9
DONE = 1e-5
"""A step this small, in standard deviations of a logit, ends the iteration."""


def linear(context: Context, lanes: int) -> Trained:
    """Solve every lane, with the penalty that has the lowest held-out loss over all lanes; over the first lane, where
    that one holds out enough rows to tell."""
    lanes = context.lanes(lanes)
    rows, split, loss = context.rows(STRAIGHT, lanes), context.split(lanes), context.loss
    most = int(min(ROWS, max(NUMBERS / rows.x.shape[1], 50)))
    parts = [rows.take(train[:most]) for train in split.train]
    trying = 1 if split.held.shape[1] >= ENOUGH else len(parts)
    penalties = PENALTIES[1:5:2] if rows.x.shape[1] > WIDE else PENALTIES
    found = [list(_solved(part, loss, penalties)) for part in parts[:trying]]
    nets = [_net(rows, np.stack(flats), loss) for flats in zip(*found, strict=True)]
    own = Split(split.train[:trying], split.held[:trying])
    told = [unseen(net, net.flat.copy(), rows, own, loss, None) for net in nets]
    costs = [loss.cost(out, *context.targets(held)) for held, out in told]
    best = int(np.argmin(np.nan_to_num(costs, nan=np.inf)))
    flat = nets[best].flat
    if trying < len(parts):
        others = [next(_solved(part, loss, penalties[best : best + 1])) for part in parts[1:]]
        flat = np.stack([flat[0], *others])
    flat = flat.astype(np.float32)
    flat = np.repeat(flat, lanes, axis=0) if len(flat) < lanes else flat
    held, out = unseen(_net(rows, flat, loss), flat, rows, split, loss, None)
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
    """Standardised inputs (m, d), targets (m, k), row weights of sum 1, and the loss with a bound of its curvature; for
    a loss with a kink, that of a smooth one with half the width `bend` (k,)."""

    x: Array
    y: Array
    w: Array
    loss: Loss
    curvature: float | Array
    bend: Array | None = None

    def slope(self, z: Array) -> Array:
        """The derivative of the loss at predictions z (m, k)."""
        if isinstance(self.loss, Pinball) and self.bend is not None:
            return self.loss.smooth(z, self.y, self.bend)
        return self.loss.answers(z[None])[0] - self.y


def _solved(rows: Rows, loss: Loss, penalties: tuple[float, ...]) -> Iterator[Array]:
    """The weights for every penalty, (inputs + 1) * outputs, biases last, for the inputs as they came."""
    x = rows.x[:, :-1].astype(np.float64)
    w = np.ones(len(x)) if rows.w is None else rows.w.astype(np.float64)
    w = (w / w.sum())[:, None]
    mean = (w * x).sum(axis=0)
    spread = np.sqrt((w * np.square(x - mean)).sum(axis=0))
    spread = np.where(spread > 0, spread, 1.0)
    y = np.eye(loss.outputs)[rows.y] if isinstance(loss, Softmax) else rows.y.astype(np.float64)
    bend = loss.bend(y) if isinstance(loss, Pinball) else None
    bound = {Squares: 1.0, Sigmoid: 0.25, Softmax: 0.5}[type(loss)] if bend is None else 0.5 / bend  # Boehning 1992
    lane = _Lane((x - mean) / spread, y, w, loss, bound, bend)
    solve = _solver(lane)
    at = (np.zeros((x.shape[1], loss.outputs)), np.zeros(loss.outputs))
    for penalty in penalties:
        at = solve(penalty, at)
        slopes = at[0] / spread[:, None]
        yield np.concatenate([slopes.ravel(), at[1] - mean @ slopes]).astype(np.float32)


Point = tuple[Array, Array]
"""Weights (d, k) and biases (k,)."""


def _solver(lane: _Lane) -> Callable[[float, Point], Point]:
    """Minimise at a penalty from a point on."""
    width, squares = lane.x.shape[1], type(lane.loss) is Squares
    if isinstance(lane.loss, Sigmoid) and lane.loss.outputs == 1 and width <= NARROW:
        return lambda penalty, at: _newton(lane, penalty, at)
    wide = width > WIDE
    step, most = _stepper(lane, wide), STEPS[wide]
    most = 1 if squares and not wide else most
    return lambda penalty, at: _descended(lane, step, penalty, at, most)


def _newton(lane: _Lane, penalty: float, at: Point) -> Point:
    """Newton's method for one logit, with steps halved until the loss falls."""
    x, ridge = np.c_[lane.x, np.ones(len(lane.x))], np.r_[np.full(lane.x.shape[1], penalty), 0.0]
    found, y, w = np.r_[at[0][:, 0], at[1]], lane.y[:, 0], lane.w[:, 0]

    def cost(a: Array) -> float:
        z = x @ a
        return float(w @ (np.logaddexp(0.0, z) - z * y) + 0.5 * (ridge @ np.square(a)))

    here = cost(found)
    for _ in range(MOST):
        p = lane.loss.answers((x @ found)[None])[0]
        curve = (x * (w * np.maximum(p * (1 - p), TINY))[:, None]).T @ x
        curve[np.diag_indices_from(curve)] += ridge + TINY
        move = np.linalg.solve(curve, x.T @ (w * (p - y)) + ridge * found)
        while (after := cost(found - move)) > here and np.abs(move).max() > DONE:
            move = move / 2
        found, here = found - move, min(after, here)
        if np.sqrt(np.square(move).sum()) < DONE:
            break
    return found[:-1, None], found[-1:]


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
        error = lane.slope(lane.x @ here_a + here_b) * lane.w
        slope = lane.x.T @ error + penalty * here_a
        move_a, move_b = step(slope, penalty), error.sum(axis=0) / lane.curvature
        before_a, before_b, a, b = a, b, here_a - move_a, here_b - move_b
        t = 1.0 if (slope * (a - before_a)).sum() > 0 else after
        if np.sqrt(np.square(move_a).sum() + np.square(move_b).sum()) < DONE:
            break
    return a, b
