"""The boosted stage: scikit-learn's gradient boosting on the standardised columns, kept as arrays.

Trees see the columns as the linear stage does, on the grid of `Numeric`, so that they do not depend on units either.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from unstuck.tabular.fit.batches import Rows
from unstuck.tabular.fit.blend import share
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.encoder import BRIEF
from unstuck.tabular.fit.loss import Loss, Softmax, Squares
from unstuck.tabular.fit.pinball import Pinball
from unstuck.tabular.fit.stage import Trained, averaged
from unstuck.tabular.fit.train import Shape
from unstuck.tabular.fit.trees import LEAF, Trees

Array = np.ndarray
SHAPE = Shape(BRIEF, (), "relu")
LEAST = 100
"""With fewer rows trees have too few to divide."""
OUTPUTS = 16
"""With more outputs, each of which needs trees of its own, none are grown."""
RATE, ROUNDS, MOST, STEP, ENDED = 0.1, 100, 300, 10, 0.85
"""A hundred trees at once are added per output while, counted in tens, the best number is in the last part of them."""
JUDGED = 2000
"""Held-out rows of a lane on which the number of trees is chosen."""
SOON = 1.0
"""With fewer seconds left no tree is grown: importing scikit-learn's ensembles and the first trees take that."""
DEARER = 1.3
"""Later trees may take so much more time than the first ones."""
WORTH = 0.005
"""The share of the loss that the first trees must save."""
FEW = 1000
UNKNOWN = 5.0
"""A class that a lane has not seen lies this many nats below the rarest one."""


def boosted(context: Context, lanes: int, seen: Array, mixed: Array) -> Trained | None:
    """Grow trees for every lane, as many as have the lowest held-out loss over all lanes.

    `mixed`, (v, outputs): predictions of the networks for the held-out rows `seen`, (v,), ascending. None if there are
    too few rows or too many outputs, or where the first trees of one lane do not clearly lower the loss in a blend.
    """
    lanes = context.once(context.lanes(lanes))
    possible = len(context.frame) >= LEAST and context.loss.outputs <= OUTPUTS and not context.few(lanes)
    if not possible or not context.resources.allows(SOON):
        return None
    rows, split = context.rows(BRIEF, lanes), context.split(lanes)
    lanes = len(split.train)
    helds = [rows.take(held) for held in split.held]
    growers = [_Grower(rows.take(train), context, lane) for lane, train in enumerate(split.train)]
    if not all(one.possible for one in growers):
        return None
    begun = time.monotonic()
    growers[0].grow(STEP)
    each = (time.monotonic() - begun) / STEP * ROUNDS * lanes
    if not context.resources.allows(DEARER * each):
        return None
    first = growers[0].grow(ROUNDS)
    own = context.loss.answers(first.raw(helds[0].x))[0]
    if not _worthwhile(mixed[np.searchsorted(seen, split.held[0])], own, split.held[0], context):
        return None
    kept = _grown(growers, first, helds, context)
    told = [context.loss.answers(trees.raw(held.x))[0] for trees, held in zip(kept, helds, strict=True)]
    held, out = averaged(split.held.ravel(), np.concatenate(told).astype(np.float32))
    return Trained(SHAPE, np.zeros((lanes, 0), np.float32), held, out, "boosted", trees=_joined(kept))


def _worthwhile(mixed: Array, own: Array, held: Array, context: Context) -> bool:
    """Whether predictions `own` clearly lower the loss of others, (v, outputs), in a blend."""
    y, w = context.targets(held)
    a = share(context.loss, mixed, own, y, w, 0.0)
    before = context.loss.cost(mixed, y, w)
    return before - context.loss.cost((1 - a) * mixed + a * own, y, w) >= WORTH * before > 0


def _grown(growers: list[_Grower], first: Trees, helds: list[Rows], context: Context) -> list[Trees]:
    """The trees of every lane; the first lane has its first ones already."""
    begun, best = time.monotonic(), ROUNDS
    grown = [first, *_grow_all(growers[1:], ROUNDS, context)]
    each = (time.monotonic() - begun) * len(growers) / max(len(growers) - 1, 1)
    for rounds in range(ROUNDS, MOST + 1, ROUNDS):
        if rounds > ROUNDS and not context.resources.allows(DEARER * each):
            break
        if rounds > ROUNDS:
            grown = _grow_all(growers, rounds, context)
        costs = np.mean([_course(trees, held, context) for trees, held in zip(grown, helds, strict=True)], axis=0)
        best = STEP * (int(costs.argmin()) + 1)
        if best < ENDED * rounds:
            break
    return [trees.first(best) for trees in grown]


def _grow_all(growers: list[_Grower], rounds: int, context: Context) -> list[Trees]:
    """The trees of each grower; the estimators come back from the process that grew them."""
    found = context.resources.each([partial(_grown_apart, one, rounds) for one in growers])
    for one, (own, _) in zip(growers, found, strict=True):
        one.own = own
    return [trees for _, trees in found]


def _grown_apart(grower: _Grower, rounds: int) -> tuple[list[Any], Trees]:
    grower.own = deepcopy(grower.own)  # what comes from another process may be read-only, which scikit-learn refuses
    return grower.own, grower.grow(rounds)


def _course(trees: Trees, held: Rows, context: Context) -> Array:
    """The held-out loss after every `STEP` trees."""
    some = held.take(np.arange(min(len(held), JUDGED)))
    values, rounds = trees.each(some.x), int(np.bincount(trees.place).max()) // STEP
    sums = np.zeros((rounds, len(some), trees.start.shape[1])) + trees.start
    for place in np.unique(trees.place):
        sums[:, :, place] += values[:, trees.place == place].cumsum(axis=1)[:, STEP - 1 :: STEP].T
    return np.array([context.loss.cost(context.loss.answers(one[None])[0], some.y, some.w) for one in sums])


class _Grower:
    """The estimators of a lane: one for all classes, or one for each number or label."""

    def __init__(self, rows: Rows, context: Context, lane: int) -> None:
        self.rows, self.outputs = rows, context.loss.outputs
        self.softmax = isinstance(context.loss, Softmax)
        goals = [rows.y] if self.softmax else list(rows.y.T)
        numbers = isinstance(context.loss, Squares)
        self.goals = goals if numbers else [np.rint(goal).astype(np.int64) for goal in goals]
        self.possible = numbers or all(len(np.unique(goal)) > 1 for goal in self.goals)
        leaf = 20 if len(rows) >= FEW else max(5, len(rows) // 50)
        kinds = _kinds(context.loss, len(goals)) if self.possible else []
        self.own = [_estimator(numbers, leaf, context.options.seed + lane, kind) for kind in kinds]

    def grow(self, rounds: int) -> Trees:
        """So many trees per output."""
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, "openmp"):  # sums of several threads come in any order
            for one, goal in zip(self.own, self.goals, strict=True):
                one.set_params(max_iter=rounds).fit(self.rows.x, goal, self.rows.w)
        seen = self.own[0].classes_ if self.softmax else np.arange(self.outputs)
        found = np.concatenate([np.ravel(one._baseline_prediction) for one in self.own])
        start = np.full(self.outputs, found.min() - UNKNOWN)
        if self.softmax and len(seen) == 2:  # one column of trees, for the second class
            seen, start[seen[0]] = seen[1:], 0.0
        start[seen] = found
        return arrays_of(self.own, seen, start)


def _kinds(loss: Loss, goals: int) -> list[dict[str, Any]]:
    """The parameters of each goal's estimator that name its loss."""
    if not isinstance(loss, Pinball):
        return [{}] * goals
    return [{"loss": "quantile", "quantile": level} for level in loss.levels]


def _estimator(numbers: bool, leaf: int, seed: int, loss: dict[str, Any]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind: Any = HistGradientBoostingRegressor if numbers else HistGradientBoostingClassifier
    return kind(
        learning_rate=RATE, max_leaf_nodes=31, min_samples_leaf=leaf, l2_regularization=1.0, early_stopping=False,
        warm_start=True, random_state=seed % 2**32, **loss,
    )  # fmt: skip


def _rounds(estimator: Any) -> Iterator[list[Array]]:
    """The nodes of the trees of every round, one array per output."""
    yield from ([tree.nodes for tree in trees] for trees in estimator._predictors)


def arrays_of(estimators: list[Any], places: Array, start: Array) -> Trees:
    """The trees of scikit-learn's estimators as one lane: one column of trees for each of the `places`, ascending,
    added to `start`, (outputs,)."""
    columns = [column for one in estimators for column in zip(*_rounds(one), strict=True)]
    nodes = [tree for column in columns for tree in column]
    sizes = np.array([len(tree) for tree in nodes])
    roots = (np.cumsum(sizes) - sizes).astype(np.int32)
    whole, first = np.concatenate(nodes), np.repeat(roots, sizes)
    leaf = whole["is_leaf"].astype(bool)
    children = np.stack([whole["left"], whole["right"]], axis=1).astype(np.int32) + first[:, None]
    return Trees(
        np.where(leaf, LEAF, whole["feature_idx"]).astype(np.int32), np.where(leaf, 0.0, whole["num_threshold"]),
        np.where(leaf[:, None], 0, children).astype(np.int32), whole["missing_go_to_left"].astype(bool),
        np.where(leaf, whole["value"], 0.0), roots,
        np.repeat(places, [len(column) for column in columns]).astype(np.int32), start[None],
    )  # fmt: skip


def _joined(lanes: list[Trees]) -> Trees:
    """The trees of all lanes."""
    firsts = np.cumsum([0, *(len(one.feature) for one in lanes[:-1])])
    outputs = lanes[0].start.shape[1]
    moved = [
        replace(
            one, children=one.children + np.where(one.feature[:, None] == LEAF, 0, first).astype(np.int32),
            roots=one.roots + np.int32(first), place=one.place + np.int32(lane * outputs),
        )
        for lane, (one, first) in enumerate(zip(lanes, firsts.tolist(), strict=True))
    ]  # fmt: skip
    states = [one.state() for one in moved]
    return Trees(**{name: np.concatenate([state[name] for state in states]) for name in states[0]})
