"""Words: one input per frequent word, one for all the others, and how frequent a word is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
Column = Sequence[str | None] | Array
"""Texts, None where missing; an array has dtype object."""
WORDS = 48
"""A column's most frequent words get an input each; what is rarer shares one."""
ONCE = 2
"""A word that occurs less often than this says nothing about the next row."""


@dataclass(frozen=True)
class Words:
    """A column of words, as it was in training."""

    words: tuple[str, ...]
    """The frequent ones, most frequent first."""
    counts: tuple[int, ...]
    """How often each of them occurred."""
    rows: int
    cut: bool
    """Whether there were rarer words beside them."""

    @classmethod
    def of(cls, column: Column, weights: Array | None = None) -> Words:
        """Count a column's words; None is a missing one; a row of weight w counts as w rows."""
        if weights is None:
            return cls.counted(Counter(word for word in column if word is not None), len(column))
        there, total = Counter[str](), Counter[str]()
        for word, weight in zip(column, weights.tolist(), strict=True):
            if word is not None and weight > 0:
                there[word] += 1
                total[word] += weight
        # Weights below 1 do not make a rarity of what occurs twice.
        counts = Counter({word: max(round(total[word]), min(there[word], ONCE)) for word in there})
        return cls.counted(counts, round(float(weights.sum())))

    @classmethod
    def counted(cls, counts: Counter[str], rows: int) -> Words:
        """From the counts of the words of `rows` rows."""
        found = sorted(counts.items(), key=lambda p: (-p[1], p[0]))
        kept = [p for p in found[:WORDS] if p[1] >= ONCE]
        return cls(tuple(w for w, _ in kept), tuple(c for _, c in kept), rows, len(kept) < len(found))

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
        # The share of the rows, on a logarithmic scale from "all" (0) to "hardly any" (-1).
        share = np.log1p(np.array([*self.counts, 0.0])) / np.log1p(max(self.rows, 1)) - 1.0
        out[rows, -1] = share[index[rows]]
        return out

    def share_cut(self) -> float:
        """The share of the training rows whose word has no input of its own."""
        return 1.0 - sum(self.counts) / max(self.rows, 1)
