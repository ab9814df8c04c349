"""Rows that occur on both sides of a division: copies of training rows among held-out ones."""

from __future__ import annotations

import numpy as np

from unstuck.tabular.fit.equal import distinct
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.grid import marks

Array = np.ndarray


def copies(frame: Frame, y: Array, units: Array) -> Array:
    """Which rows have the inputs and the target y, (n,) or (n, k), of a row of another unit, (n,) bool. None where rows
    with equal inputs are independent draws, as in a table with few distinct cells."""
    columns = [*frame.numbers.T, *(_codes(column) for column in frame.words)]
    whole = np.stack([np.unique(one, return_inverse=True)[1] for one in columns], axis=1).astype(np.uint32)
    goals = y.reshape(len(y), -1)
    target = np.stack([np.unique(one, return_inverse=True)[1] for one in goals.T], axis=1).astype(np.uint32)
    if distinct(whole, target, None, whole.T).draws:
        return np.zeros(len(y), bool)
    same = np.unique(marks(np.concatenate([whole, target], axis=1)), return_inverse=True)[1]
    pairs = np.unique(np.stack([same, np.unique(units, return_inverse=True)[1]]), axis=1)
    return (np.bincount(pairs[0]) > 1)[same]


def between(frame: Frame, y: Array, other: Frame, other_y: Array) -> int:
    """How many rows of `other` are copies of rows of `frame`."""
    words = tuple([*a, *b] for a, b in zip(frame.words, other.words, strict=True))
    both = Frame(np.concatenate([frame.numbers, other.numbers]), words)
    units = np.repeat([0, 1], [len(frame), len(other)])
    return int(copies(both, np.concatenate([y, other_y]), units)[len(frame) :].sum())


def _codes(column: object) -> Array:
    known: dict[object, int] = {}
    return np.array([known.setdefault(word, len(known)) for word in column], np.int64)  # type: ignore[attr-defined]
