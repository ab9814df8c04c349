"""What all stages of a fit share: the training rows, their division into training and held-out rows, the options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.batches import Rows, Split, folds
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
FEW = 8
"""With fewer rows, none are held out."""
ALONE = 4
"""A single lane holds out one of this many parts."""
HELD = 5000
"""Most rows that a lane holds out: with more rows, a lane trains on a larger share of them."""


@dataclass(frozen=True, eq=False)
class Context:
    """The training rows in canonical order, and the options."""

    encoder: Encoder
    frame: Frame
    y: Array
    """Encoded targets."""
    w: Array | None
    strata: Array
    group: Array | None
    """Rows that are held out together have the same number; None if each may be held out alone."""
    loss: Loss
    options: Options
    watch: Callable[[Shape, Training], None]
    history: History

    def some(self, rows: int) -> Context:
        """The first rows: a random sample, because the canonical order is independent of the data."""
        index, w = np.arange(min(rows, len(self.frame))), None if self.w is None else self.w[:rows]
        group = None if self.group is None else self.group[:rows]
        return replace(self, frame=self.frame.take(index), y=self.y[:rows], w=w, strata=self.strata[:rows], group=group)

    def rows(self, views: tuple[str, ...]) -> Rows:
        """The rows as a network with these views receives them."""
        return Rows(with_one(self.encoder.encode(self.frame, views)), self.y, self.w)

    def lanes(self, usual: int) -> int:
        """The number of lanes of a stage that usually has so many."""
        return min(self.options.lanes or usual, max(len(self.frame) // 2, 1))

    def split(self, lanes: int) -> Split:
        """Training and held-out rows of each lane; the same for the same number of lanes."""
        rng = np.random.Generator(np.random.Philox(key=[self.options.seed, 0xF01D]))
        n = len(self.frame)
        if self.few(lanes):
            return Split(np.arange(n)[None], np.arange(n)[None])
        parts = max(lanes if lanes > 1 else ALONE, math.ceil(n / HELD))
        return folds(self.strata, lanes, rng, parts, self.group)

    def few(self, lanes: int) -> bool:
        """Whether there are too few rows, or too few groups of them, to hold any out."""
        groups = len(self.frame) if self.group is None else len(np.unique(self.group))
        return groups < max(FEW, 2 * lanes)

    def targets(self, rows: Array) -> tuple[Array, Array | None]:
        """Targets and weights of some rows."""
        return self.y[rows], None if self.w is None else self.w[rows]

    def baseline(self) -> float:
        """Mean loss of the best constant prediction."""
        return self.loss.baseline(self.y, self.w)
