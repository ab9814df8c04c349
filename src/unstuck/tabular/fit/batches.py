"""Rows in memory: their canonical order, which of them a lane trains on and is judged by, and an epoch's batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from unstuck.tabular.fit.grid import MIX, marks

Array = np.ndarray
SAMPLE = 512
"""Training rows whose loss is shown beside that of the held-out ones."""


@dataclass(frozen=True)
class Rows:
    """Encoded rows: x (n, d + 1) float32 that ends in a 1, y (n,) class numbers or (n, k) float32, w (n,) float32 or
    None for all equal."""

    x: Array
    y: Array
    w: Array | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, index: Array) -> Rows:
        """The rows at `index`, of any shape: (1, b) for all lanes, (lanes, b) for each lane its own."""
        return Rows(self.x.take(index, 0), self.y.take(index, 0), None if self.w is None else self.w.take(index, 0))

    def cut(self, part: slice) -> Rows:
        """Of rows that were taken for lanes, (1 or lanes, b): a part of the b."""
        return Rows(self.x[:, part], self.y[:, part], None if self.w is None else self.w[:, part])


def canonical(x: Array, y: Array, w: Array | None) -> tuple[Array, Array | None]:
    """The row numbers to train on, in an order that depends on what the rows say and not on how they came, and their
    weights (mean 1), None where all are equal.

    Equal rows become one, of their joint weight: a table in which a row stands three times trains to the same bits as
    one in which it has the weight 3, a sorted table as a shuffled one, and no row is held out whose twin is trained on.
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
    """What a stage is trained on; all rows as `Rows` of (1 or lanes, ...)."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        ...

    def epoch(self, number: int) -> Iterator[Rows]:
        """The batches of an epoch, whose order depends on its number alone: what was interrupted can go on."""
        ...

    def held(self) -> Rows:
        """The rows that each lane is judged by."""
        ...

    def own(self) -> Rows:
        """Some of the rows that it is trained on."""
        ...


@dataclass(frozen=True)
class Split:
    """Row numbers to train on, (1 or lanes, m), and to be judged by, (1 or lanes, v)."""

    train: Array
    held: Array


@dataclass(frozen=True)
class InMemory:
    """A batches from rows in memory, in batches of one size; the few rows that are left over sit an epoch out."""

    rows: Rows
    split: Split
    size: int
    seed: int

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return self.split.train.shape[1] // self.size

    def epoch(self, number: int) -> Iterator[Rows]:
        """The batches in a fresh order."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number + 1]))
        order = rng.permuted(self.split.train, axis=1)
        for at in range(0, self.steps * self.size, self.size):
            yield self.rows.take(order[:, at : at + self.size])

    def held(self) -> Rows:
        """The held-out rows."""
        return self.rows.take(self.split.held)

    def own(self) -> Rows:
        """The first of the others."""
        return self.rows.take(self.split.train[:, :SAMPLE])


def folds(strata: Array, lanes: int, rng: np.random.Generator) -> Split:
    """Each lane is judged by another part of the rows, and trains on the others. `strata` (n,), class numbers or ranks,
    are spread evenly over the parts."""
    order, part = _dealt(strata, lanes, rng)
    size = len(order) // lanes
    held = np.stack([np.sort(order[part == k][:size]) for k in range(lanes)])
    train = np.stack([order[part != k][: len(order) - size - (len(order) % lanes > 0)] for k in range(lanes)])
    return Split(train, held)


def holdout(strata: Array, share: float, rng: np.random.Generator) -> Split:
    """One part of the rows by which all lanes are judged."""
    every = max(2, round(1 / share))
    order, part = _dealt(strata, every, rng)
    return Split(np.sort(order[part != 0])[None], np.sort(order[part == 0])[None])


def _dealt(strata: Array, hands: int, rng: np.random.Generator) -> tuple[Array, Array]:
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    return order, np.arange(len(order)) % hands
