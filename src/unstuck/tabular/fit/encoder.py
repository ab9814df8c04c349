"""Encode a frame as the inputs of a network, in the views that a stage uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.categories import Words
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.numeric import Numeric

Array = np.ndarray


@dataclass(frozen=True)
class Encoder:
    """Measured on training rows; encodes rows with the same columns."""

    numeric: Numeric
    words: tuple[Words, ...]

    @classmethod
    def of(cls, frame: Frame, weights: Array | None = None, beside: Array | None = None) -> Encoder:
        """Measure the columns of a frame. `beside`: targets without their signs, (n, k), as `Numeric.of` takes them."""
        return cls(
            Numeric.of(frame.numbers, weights, beside), tuple(Words.of(column, weights) for column in frame.words)
        )

    def encode(self, frame: Frame, views: tuple[str, ...]) -> Array:
        """(n, inputs) float32; at least one input, so that a table of constant columns still has a network."""
        parts = [self.numeric.encode(frame.numbers, views)]
        parts += [one.encode(column) for one, column in zip(self.words, frame.words, strict=True)]
        out = np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]
        return out if out.shape[1] else np.zeros((len(frame), 1), np.float32)

    def brief(self, frame: Frame) -> Array:
        """The unexpanded form of `encode` for any views: (n, kept columns and words) float32."""
        words = [one.encode(column) for one, column in zip(self.words, frame.words, strict=True)]
        return np.concatenate([self.numeric.standard(frame.numbers), *words], axis=1, dtype=np.float32)

    def unfold(self, brief: Array, views: tuple[str, ...]) -> Array:
        """The result of `encode`, from `brief`."""
        kept = len(self.numeric.kept)
        out = np.concatenate([self.numeric.seen_as(brief[:, :kept], views), brief[:, kept:]], axis=1)
        return out if out.shape[1] else np.zeros((len(brief), 1), np.float32)

    @property
    def kept(self) -> int:
        """The width of `brief`."""
        return len(self.numeric.kept) + sum(one.width for one in self.words)

    def width(self, views: tuple[str, ...]) -> int:
        """The number of inputs."""
        return max(self.numeric.width(views) + sum(one.width for one in self.words), 1)
