"""Rows in memory: the split into training and held-out rows, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

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
    base: Array | None = None
    """Subtracted from the targets, (lanes, n, k): the predictions of a model whose errors are learned."""

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return self.split.train.shape[1] // self.size

    def epoch(self, number: int) -> Iterator[Rows]:
        """The batches in a new order."""
        rng = np.random.Generator(np.random.Philox(key=[self.seed, number + 1]))
        order = rng.permuted(self.split.train, axis=1)
        for at in range(0, self.steps * self.size, self.size):
            yield self._taken(order[:, at : at + self.size])

    def held(self) -> Rows:
        """The held-out rows."""
        return self._taken(self.split.held)

    def own(self) -> Rows:
        """The first training rows."""
        return self._taken(self.split.train[:, :SAMPLE])

    def _taken(self, index: Array) -> Rows:
        part = self.rows.take(index)
        if self.base is None:
            return part
        return replace(part, y=part.y - np.take_along_axis(self.base, index[..., None], axis=1))


def folds(strata: Array, lanes: int, rng: np.random.Generator) -> Split:
    """Cross-validation: each lane holds out another part of the rows. `strata` (n,), class numbers or ranks, are spread
    evenly over the parts."""
    return split(*dealt(strata, lanes, rng), lanes)


def split(order: Array, part: Array, lanes: int) -> Split:
    """Lane k holds out part k; as many rows of every part as the smallest has. `order`, `part`: as `dealt` returns."""
    sizes = np.bincount(part, minlength=lanes)[:lanes]
    held = np.stack([np.sort(order[part == k][: sizes.min()]) for k in range(lanes)])
    train = np.stack([order[part != k][: len(order) - sizes.max()] for k in range(lanes)])
    return Split(train, held)


def holdout(strata: Array, share: float, rng: np.random.Generator) -> Split:
    """One set of held-out rows for all lanes."""
    every = max(2, round(1 / share))
    order, part = dealt(strata, every, rng)
    return Split(np.sort(order[part != 0])[None], np.sort(order[part == 0])[None])


def dealt(strata: Array, parts: int, rng: np.random.Generator, group: Array | None = None) -> tuple[Array, Array]:
    """Deal the rows to parts: an order of the rows, and the part of each row in that order, (n,). Every part has its
    share of the `strata` (n,); rows of the same `group` (n,) come to the same part."""
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    if group is None:
        return order, np.arange(len(order)) % parts
    _, first, own = np.unique(group[order], return_index=True, return_inverse=True)
    turn = np.argsort(np.argsort(first))
    return order, turn[own] % parts
