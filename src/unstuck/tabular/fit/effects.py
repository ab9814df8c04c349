"""The mean of the target for each word of a column, as inputs: for columns with so many words that inputs of their own
learn slowly, or that not every word has one.

Means are drawn towards the overall mean as far as the words differ by no more than chance (empirical Bayes: Efron and
Morris 1973). A training row gets the mean of the rows that are not held out together with it, as a new row would.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.categories import Column
from unstuck.tabular.fit.grid import evenly

Array = np.ndarray
SEVERAL = 16
"""With fewer words than this, inputs of their own are enough."""
OUTPUTS = 16
"""With more classes than this, their shares are not inputs."""
MOST = 1 << 16
"""Maximum number of words whose means are kept, the most frequent ones."""
ONCE = 2
"""Rarer words say nothing about other rows."""
GRID = 2.0**-12


@dataclass(frozen=True, eq=False)
class Effects:
    """The mean target of each word, in standard deviations from the overall mean."""

    words: tuple[str, ...]
    values: Array
    """(words, outputs) float32, on a grid."""

    def encode(self, column: Column) -> Array:
        """(n, outputs) float32; 0 for missing and unknown words."""
        place = {word: i for i, word in enumerate(self.words)}
        index = np.array([place.get(word, -1) if word is not None else -1 for word in column], np.int64)
        values = np.concatenate([self.values, np.zeros((1, self.values.shape[1]), np.float32)])
        return values[index]


def effects(column: Column, goals: Array, counts: Array) -> Effects | None:
    """The means of standardised targets (n, k) of rows that count as (n,) rows; None for a column of few words."""
    sums = _Sums.of(column, goals, counts)
    kept = np.flatnonzero(sums.rows >= ONCE)
    if len(kept) <= SEVERAL or goals.shape[1] > OUTPUTS:
        return None
    kept = np.sort(kept[np.argsort(-sums.rows[kept], kind="stable")][:MOST])
    values = _shrunk(sums.totals, sums.rows, sums.drawn())
    return Effects(tuple(sums.words[i] for i in kept), values[kept])


def apart(column: Column, goals: Array, counts: Array, part: Array) -> Array:
    """The means that the rows of other parts give for each row, (n, k) float32; `part` (n,): its part's number."""
    sums, out = _Sums.of(column, goals, counts), np.zeros(goals.shape, np.float32)
    drawn = sums.drawn()
    for number in np.unique(part):
        own = np.flatnonzero((part == number) & (sums.codes >= 0))
        totals, rows = sums.totals.copy(), sums.rows.copy()
        np.subtract.at(totals, sums.codes[own], goals[own] * counts[own, None])
        np.subtract.at(rows, sums.codes[own], counts[own])
        out[own] = _shrunk(totals, np.maximum(rows, 0.0), drawn)[sums.codes[own]]
    return out


def standardised(y: Array, outputs: int, counts: Array) -> Array:
    """Encoded targets as (n, k) float64 of mean 0 and variance 1; class numbers become one column per class."""
    goals = np.eye(outputs)[y] if y.ndim == 1 else y.astype(np.float64)
    goals = goals - np.average(goals, axis=0, weights=counts)
    spread = np.sqrt(np.average(np.square(goals), axis=0, weights=counts))
    return goals / np.where(spread > 0, spread, 1.0)


@dataclass(frozen=True, eq=False)
class _Sums:
    """The words of a column in order, each row's word (-1: missing), and the totals of the targets per word."""

    words: tuple[str, ...]
    codes: Array
    rows: Array
    totals: Array
    within: Array
    """The squared distances of the targets from the means of their words, summed, (k,)."""

    @classmethod
    def of(cls, column: Column, goals: Array, counts: Array) -> _Sums:
        words = tuple(sorted({word for word in column if word is not None}))
        place = {word: i for i, word in enumerate(words)}
        codes = np.array([-1 if word is None else place[word] for word in column], np.int64)
        there = codes >= 0
        rows = np.bincount(codes[there], counts[there], len(words))
        totals = np.stack([np.bincount(codes[there], (counts * one)[there], len(words)) for one in goals.T], axis=1)
        off = goals[there] - (totals / np.where(rows > 0, rows, 1.0)[:, None])[codes[there]]
        return cls(words, codes, rows, totals, (counts[there, None] * np.square(off)).sum(axis=0))

    def drawn(self) -> Array:
        """By how many rows of the overall mean each word's mean is completed, (k,): the variance within words over that
        between them."""
        n, words = self.rows.sum(), np.count_nonzero(self.rows)
        if n <= words or words < 2:
            return np.full(self.totals.shape[1], np.inf)
        noise = self.within / (n - words)
        means = self.totals / np.maximum(self.rows, 1e-300)[:, None]
        middle = self.totals.sum(axis=0) / n
        between = (self.rows[:, None] * np.square(means - middle)).sum(axis=0)
        signal = (between - (words - 1) * noise) / (n - np.square(self.rows).sum() / n)
        return np.where(signal > 0, noise / np.where(signal > 0, signal, 1.0), np.inf)


def _shrunk(totals: Array, rows: Array, drawn: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        values = totals / (rows[:, None] + drawn)
    return evenly(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), GRID).astype(np.float32)
