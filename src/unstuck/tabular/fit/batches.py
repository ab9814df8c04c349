"""Rows in memory: their canonical order, the split into training and held-out rows, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unstuck.tabular.fit.grid import MIX, marks

Array = np.ndarray
SAMPLE = 512
"""Number of training rows whose loss is reported beside the held-out loss."""


@dataclass(frozen=True)
class Rows:
    """Encoded rows: x (n, d + 1) float32 whose last column is 1, y (n,) class numbers or (n, k) float32, w (n,) float32
    or None if all are equal."""

    x: Array
    y: Array
    w: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Array) -> Rows:
        """The rows at `index`, of any shape: (1, b) for all lanes, (lanes, b) for each lane its own."""
        return Rows(self.x.take(index, 0), self.y.take(index, 0), None if self.w is None else self.w.take(index, 0))

    def cut(self, part: slice) -> Rows:
        """A slice of the batch axis of rows taken for lanes, (1 or lanes, b)."""
        return Rows(self.x[:, part], self.y[:, part], None if self.w is None else self.w[:, part])


def canonical(x: Array, y: Array, w: Array | None) -> tuple[Array, Array | None]:
    """The row numbers to train on, in an order that depends on the rows' content and not on their order in the file,
    and their weights (mean 1), None if all are equal.

    Duplicate rows are merged and their weights added: a row that occurs three times trains to the same bits as a row of
    weight 3, a sorted table like a shuffled one, and no held-out row has a duplicate among the training rows.
    """
    mark = marks(x) ^ (marks(y.reshape(len(y), -1)) * MIX)
    there = np.arange(len(mark)) if w is None else np.flatnonzero(w > 0)
    if w is not None:
        mark, w = mark[there], w[there]
    _, first, group = np.unique(mark, return_index=True, return_inverse=True)
    if w is None and len(first) == len(mark):
        return first, None
    joint = np.bincount(group, weights=w, minlength=len(first))
    equal = bool((joint == joint[0]).all())
    return there[first], None if equal else (joint / joint.mean()).astype(np.float32)


class Batches(Protocol):
    """The data of a stage; all rows as `Rows` of (1 or lanes, ...)."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Rows]:
        """The batches of an epoch; their order depends only on its number, so an interrupted training can continue."""
        ...

    def held(self) -> Rows:
        """The held-out rows of each lane."""
        ...

    def own(self) -> Rows:
        """A sample of the training rows."""
        ...


@dataclass(frozen=True)
class Split:
    """Row numbers of training rows, (1 or lanes, m), and held-out rows, (1 or lanes, v)."""

    train: Array
    held: Array


@dataclass(frozen=True)
class InMemory:
    """Batches of one size from rows in memory; the remainder of an epoch is skipped."""

    rows: Rows
    split: Split
    size: int
    seed: int

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return self.split.train.shape[1] // self.size

    def epoch(self, number: int) -> Iterator[Rows]:
        """The batches in a new order."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number + 1]))
        order = rng.permuted(self.split.train, axis=1)
        for at in range(0, self.steps * self.size, self.size):
            yield self.rows.take(order[:, at : at + self.size])

    def held(self) -> Rows:
        """The held-out rows."""
        return self.rows.take(self.split.held)

    def own(self) -> Rows:
        """The first training rows."""
        return self.rows.take(self.split.train[:, :SAMPLE])


def folds(strata: Array, lanes: int, rng: np.random.Generator) -> Split:
    """Cross-validation: each lane holds out another part of the rows. `strata` (n,), class numbers or ranks, are spread
    evenly over the parts."""
    order, part = _dealt(strata, lanes, rng)
    size = len(order) // lanes
    held = np.stack([np.sort(order[part == k][:size]) for k in range(lanes)])
    train = np.stack([order[part != k][: len(order) - size - (len(order) % lanes > 0)] for k in range(lanes)])
    return Split(train, held)


def holdout(strata: Array, share: float, rng: np.random.Generator) -> Split:
    """One set of held-out rows for all lanes."""
    every = max(2, round(1 / share))
    order, part = _dealt(strata, every, rng)
    return Split(np.sort(order[part != 0])[None], np.sort(order[part == 0])[None])


def _dealt(strata: Array, parts: int, rng: np.random.Generator) -> tuple[Array, Array]:
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    return order, np.arange(len(order)) % parts
