"""What structure the errors of a model still have: whether larger models can learn more from these rows.

The held-out errors are summed in cells of every column and of every pair of columns. Where the model is right up to
noise, the squared sums over their variances have the mean of a chi-squared variable; half of what they exceed it by is
the number of nats of log-likelihood that corrections of the cells would gain.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from unstuck.tabular.fit.categories import Column
from unstuck.tabular.fit.context import Context
from unstuck.tabular.fit.loss import Squares
from unstuck.tabular.fit.quantiles import PARTS

Array = np.ndarray
CELLS = 8
COLUMNS, OUTPUTS = 20, 8
"""Pairs are formed of so many columns with the most structure of their own, for so many outputs."""
WIDE = 2000
"""With more columns, only a part of them is examined."""
ROWS = 8
"""Cells that expect less are left out: squared sums over fewer rows have long tails."""
SURE = 5.0
"""A cell sum counts from this many standard deviations of the statistic on."""


def leftover(context: Context, held: Array, answers: Array) -> float:
    """The nats that corrections by one column or one pair of columns would gain on the held-out rows; 0 if chance
    explains them. `answers` (v, outputs): the predictions."""
    y, w = context.targets(held)
    loss = context.loss
    y = np.eye(loss.outputs)[y] if y.ndim == 1 else y.astype(np.float64)
    w = np.ones(len(y)) if w is None else w.astype(np.float64)
    numbers = isinstance(loss, Squares)
    off = loss.errors(answers, y) if isinstance(loss, Squares) else y - answers
    error = (off * w[:, None]).T
    noise = (np.square(off) if numbers else answers * (1.0 - answers)) * np.square(w)[:, None]
    most = np.argsort(-noise.sum(axis=0), kind="stable")[:OUTPUTS]
    parts = list(_cells(context, held))
    alone = [max((_gain(part, error[k], noise.T[k], numbers) for k in most), default=0.0) for part in parts]
    some = sorted(np.argsort(-np.array(alone), kind="stable")[:COLUMNS].tolist())
    pairs = (CELLS * parts[i] + parts[j] for i, j in combinations(some, 2))
    both = (_gain(pair, error[k], noise.T[k], numbers) for pair in pairs for k in most)
    return max([0.0, *alone, *both])


def _gain(cell: Array, error: Array, noise: Array, numbers: bool) -> float:
    """The nats above chance, 0 if they are not clear."""
    sums, spread = np.bincount(cell, error), np.bincount(cell, noise)
    there = np.bincount(cell) >= ROWS if numbers else spread >= 1.0
    there &= spread > 0
    cells = int(there.sum())
    excess = float((np.square(sums[there]) / spread[there]).sum()) - cells
    return excess / 2 if excess > SURE * np.sqrt(2 * cells) else 0.0


def _cells(context: Context, held: Array) -> Iterator[Array]:
    """For every column the cell of each row, (v,) from 0 to 7."""
    numeric = context.encoder.numeric
    z = np.nan_to_num(numeric.standard(context.frame.numbers[held]))
    step = max(1, z.shape[1] // WIDE)
    for j in range(0, z.shape[1], step):
        knots = numeric.knots[j][:: PARTS // CELLS][1:-1] if numeric.knots.size else np.linspace(-1.0, 1.0, CELLS - 1)
        yield np.searchsorted(np.unique(knots), z[:, j], side="right")
    for words, column in zip(context.encoder.words, context.frame.words, strict=True):
        yield _word_cells(words.words[: CELLS - 2], column)[held]


def _word_cells(words: tuple[str, ...], column: Column) -> Array:
    place = {word: i for i, word in enumerate(words)}
    return np.array([CELLS - 1 if word is None else place.get(word, CELLS - 2) for word in column], np.int64)
