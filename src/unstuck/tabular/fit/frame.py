"""Rows in memory before encoding: numbers in one array, words in columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.categories import Column

Array = np.ndarray


@dataclass(frozen=True)
class Frame:
    """n rows: `numbers` (n, d), any real dtype, NaN where missing; `words` n texts per column, None where missing."""

    numbers: Array
    words: tuple[Column, ...] = ()
    names: tuple[str, ...] = ()
    """Names of the columns of `numbers`, then of `words`; empty if unknown."""

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, index: Array) -> Frame:
        """Some rows."""
        words = tuple(np.asarray(column, object)[index] for column in self.words)
        return Frame(self.numbers[index], words, self.names)
