"""Encode a frame as the inputs of a network, in the views that a stage uses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.categories import Column, Words, most_words
from unstuck.tabular.fit.effects import Effects, apart, effects
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.numeric import Numeric

Array = np.ndarray
BRIEF = ("brief",)
"""The view of trees: standardised columns as they are, NaN where missing."""


@dataclass(frozen=True)
class Encoder:
    """Measured on training rows; encodes rows with the same columns."""

    numeric: Numeric
    words: tuple[Words, ...]
    effects: tuple[Effects | None, ...] = ()
    """Per column of words, the mean target of each word; None for few words. Empty: none is measured."""

    @classmethod
    def of(cls, frame: Frame, weights: Array | None = None, beside: Array | None = None) -> Encoder:
        """Measure the columns of a frame. `beside`: targets without their signs, (n, k), as `Numeric.of` takes them."""
        most = most_words(len(frame.words))
        words = tuple(Words.of(column, weights, most) for column in frame.words)
        return cls(Numeric.of(frame.numbers, weights, beside), words)

    def with_effects(self, frame: Frame, goals: Array, counts: Array) -> Encoder:
        """With the mean targets of words, from standardised targets (n, k) of rows that count as (n,) rows."""
        return replace(self, effects=tuple(effects(column, goals, counts) for column in frame.words))

    def apart(self, frame: Frame, goals: Array, counts: Array, part: Array) -> Array:
        """The last inputs of `encode` for training rows, (n, effects): those that the rows of other parts give."""
        parts = [apart(column, goals, counts, part) for column, _ in self._measured(frame)]
        return np.concatenate(parts, axis=1) if parts else np.zeros((len(frame), 0), np.float32)

    def encode(self, frame: Frame, views: tuple[str, ...]) -> Array:
        """(n, inputs) float32; at least one input, so that a table of constant columns still has a network."""
        numbers = self.numeric.standard(frame.numbers) if views == BRIEF else self.numeric.encode(frame.numbers, views)
        parts = [numbers.astype(np.float32, copy=False), *self._texts(frame)]
        out = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        return out if out.shape[1] else np.zeros((len(frame), 1), np.float32)

    def brief(self, frame: Frame) -> Array:
        """The unexpanded form of `encode` for any views: (n, kept columns and words) float32."""
        return np.concatenate([self.numeric.standard(frame.numbers), *self._texts(frame)], axis=1, dtype=np.float32)

    def _texts(self, frame: Frame) -> Iterator[Array]:
        """The inputs from words, and after them those from the mean targets of words."""
        yield from (one.encode(column) for one, column in zip(self.words, frame.words, strict=True))
        yield from (one.encode(column) for column, one in self._measured(frame))

    def _measured(self, frame: Frame) -> Iterator[tuple[Column, Effects]]:
        if self.effects:
            pairs = zip(frame.words, self.effects, strict=True)
            yield from ((column, one) for column, one in pairs if one is not None)

    def unfold(self, brief: Array, views: tuple[str, ...]) -> Array:
        """The result of `encode`, from `brief`."""
        kept = len(self.numeric.kept)
        out = np.concatenate([self.numeric.seen_as(brief[:, :kept], views), brief[:, kept:]], axis=1)
        return out if out.shape[1] else np.zeros((len(brief), 1), np.float32)

    @property
    def kept(self) -> int:
        """The width of `brief`."""
        return len(self.numeric.kept) + self._text_inputs

    @property
    def _text_inputs(self) -> int:
        return sum(one.width for one in self.words) + sum(one.values.shape[1] for one in self.effects if one)

    def width(self, views: tuple[str, ...]) -> int:
        """The number of inputs."""
        return max(len(self.numeric.kept) if views == BRIEF else self.numeric.width(views), 0) + self._text_inputs or 1
