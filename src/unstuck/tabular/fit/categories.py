"""Encode words: one input per frequent word, one shared by the others, and one for the frequency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Column = Sequence[str | None] | Array
"""Texts, None where missing; an array has dtype object."""
WORDS, ALL = 48, 128
"""Number of most frequent words of a column with an input each; the others share one. Few columns have more."""
ONCE = 2
"""Rarer words carry no information about other rows."""


@dataclass(frozen=True)
class Words:
    """The words of a column in training."""

    words: tuple[str, ...]
    """The frequent words, most frequent first."""
    counts: tuple[int, ...]
    """How often each occurred."""
    rows: int
    cut: bool
    """Whether there were rarer words."""
    there: int = 0
    """The number of rows with a word."""

    @classmethod
    def of(cls, column: Column, weights: Array | None = None, most: int = WORDS) -> Words:
        """Count the words of a column; None is missing; a row of weight w counts as w rows. `most`: how many words
        have an input of their own."""
        if weights is None:
            return cls.counted(Counter(word for word in column if word is not None), len(column), most)
        there, total = Counter[str](), Counter[str]()
        for word, weight in zip(column, weights.tolist(), strict=True):
            if word is not None and weight > 0:
                there[word] += 1
                total[word] += weight
        # A word that occurs twice stays frequent even with weights below 1.
        counts = Counter({word: max(round(total[word]), min(there[word], ONCE)) for word in there})
        return cls.counted(counts, round(float(weights.sum())), most)

    @classmethod
    def counted(cls, counts: Counter[str], rows: int, most: int = WORDS) -> Words:
        """From the counts of the words of `rows` rows."""
        found = sorted(counts.items(), key=lambda p: (-p[1], p[0]))
        kept = [p for p in found[:most] if p[1] >= ONCE]
        words, numbers = tuple(w for w, _ in kept), tuple(c for _, c in kept)
        return cls(words, numbers, rows, len(kept) < len(found), sum(counts.values()))

    @property
    def width(self) -> int:
        """Inputs: one per word, one for other words, one for frequency."""
        return len(self.words) + 2

    def encode(self, column: Column) -> Array:
        """(n, width) float32: words are 0 or 1; a missing word is all zeros."""
        at = {word: i for i, word in enumerate(self.words)}
        other = len(self.words)
        out = np.zeros((len(column), self.width), np.float32)
        index = np.array([-1 if word is None else at.get(word, other) for word in column], np.int64)
        rows = np.flatnonzero(index >= 0)
        out[rows, index[rows]] = 1.0
        # The share of the rows on a logarithmic scale, from 0 (all) to -1 (none).
        share = np.log1p(np.array([*self.counts, 0.0])) / np.log1p(max(self.rows, 1)) - 1.0
        out[rows, -1] = share[index[rows]]
        return out

    def share_cut(self) -> float:
        """The share of the training rows with a word whose word has no input of its own."""
        return 1.0 - sum(self.counts) / max(self.there, 1)


def most_words(columns: int) -> int:
    """How many words of each of so many columns have an input."""
    return max(WORDS, ALL // max(columns, 1))
