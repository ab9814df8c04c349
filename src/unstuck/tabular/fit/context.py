"""What all stages of a fit share: the training rows, their division into training and held-out rows, the options."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.batches import Rows, Split, dealt, split
from unstuck.tabular.fit.effects import standardised
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.history import History
from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.network import with_one
from unstuck.tabular.fit.options import Options
from unstuck.tabular.fit.resources import UNLIMITED, Resources
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
FEW = 8
"""With fewer rows, none are held out."""
PARTS = 4
"""A lane holds out at most one of this many parts."""
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
    counts: Array
    """The number of rows that each stands for."""
    strata: Array
    group: Array | None
    """Rows that are held out together have the same number; None if each may be held out alone."""
    loss: Loss
    options: Options
    watch: Callable[[Shape, Training], None]
    history: History
    resources: Resources = UNLIMITED

    def rows(self, views: tuple[str, ...], lanes: int) -> Rows:
        """The rows as a network with these views receives them, in a stage of so many lanes."""
        x = self.encoder.encode(self.frame, views)
        if any(self.encoder.effects) and not self.few(lanes):
            goals = standardised(self.y, self.loss.outputs, self.counts)
            order, part = self._dealt(lanes)
            inner = self.encoder.apart(self.frame, goals, self.counts, part[np.argsort(order)])
            x[:, x.shape[1] - inner.shape[1] :] = inner
        return Rows(with_one(x), self.y, self.w)

    def lanes(self, usual: int) -> int:
        """The number of lanes of a stage that usually has so many."""
        return min(self.options.lanes or usual, max(len(self.frame) // 2, 1))

    def split(self, lanes: int) -> Split:
        """Training and held-out rows of each lane; the same for the same number of lanes."""
        n = len(self.frame)
        if self.few(lanes):
            return Split(np.arange(n)[None], np.arange(n)[None])
        return split(*self._dealt(lanes), lanes)

    def _dealt(self, lanes: int) -> tuple[Array, Array]:
        """An order of the rows, and the part of each in that order; lane k holds out part k."""
        rng = np.random.Generator(np.random.Philox(key=[self.options.seed, 0xF01D]))
        asked = self.options.lanes or 1  # who asks for two lanes gets halves
        parts = max(lanes, asked if asked > 1 else PARTS, math.ceil(len(self.frame) / HELD))
        return dealt(self.strata, parts, rng, self.group)

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
