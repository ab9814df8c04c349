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
from unstuck.tabular.fit.separation import Separation, ragged
from unstuck.tabular.fit.train import Shape, Training

Array = np.ndarray
FEW = 8
"""With fewer rows, none are held out."""
PARTS = 4
"""A lane holds out at most one of this many parts."""
HELD = 5000
"""Most rows that a lane holds out: with more rows, a lane trains on a larger share of them."""
SMALL, REPEATS = 500, 3
"""Up to this many rows are divided so many times, since one division into parts decides too much."""


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
    separation: Separation | None = None
    """Groups and times of the rows; None if they may be divided freely."""

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
        most = max(len(self.frame) // 2, 1)
        if self.separation is not None and self.separation.group is not None:
            most = min(most, self.separation.groups)
        lanes = min(self.options.lanes or usual, most)
        if not self._repeats:
            return lanes
        return lanes * REPEATS if usual == PARTS else usual

    def once(self, lanes: int) -> int:
        """How many of so many lanes hold out parts of the first division of the rows."""
        return min(lanes, self._parts(lanes))

    @property
    def _repeats(self) -> bool:
        """Whether the rows are divided several times: lanes beyond the parts then hold out parts of other divisions."""
        return self.options.lanes is None and FEW <= len(self.frame) <= SMALL and not self._in_order

    @property
    def _in_order(self) -> bool:
        return self.separation is not None and self.separation.time is not None

    def split(self, lanes: int) -> Split:
        """Training and held-out rows of each lane; the same for the same number of lanes."""
        n, parts = len(self.frame), self._parts(lanes)
        if self.few(lanes):
            return Split(np.arange(n)[None], np.arange(n)[None])
        if self._in_order:
            return self._split(0, lanes)
        turns = [self._split(turn, min(lanes - at, parts)) for turn, at in enumerate(range(0, lanes, parts))]
        if len(turns) == 1:
            return turns[0]
        return ragged([row for one in turns for row in one.train], [row for one in turns for row in one.held])

    def _split(self, turn: int, lanes: int) -> Split:
        if self.separation is not None:
            return self.separation.split(self.strata, self._parts(lanes), lanes, self._rng(turn))
        return split(*self._dealt(lanes, turn), lanes)

    def _dealt(self, lanes: int, turn: int = 0) -> tuple[Array, Array]:
        """An order of the rows, and the part of each in that order; lane k holds out part k."""
        if self.separation is not None:
            return self.separation.parts(self.strata, self._parts(lanes), self._rng(turn))
        return dealt(self.strata, self._parts(lanes), self._rng(turn), self.group)

    def _rng(self, turn: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.options.seed, 0xF01D + turn]))

    def _parts(self, lanes: int) -> int:
        """Into how many parts the rows are divided at once."""
        asked = self.options.lanes or 1  # who asks for two lanes gets halves
        most = self.separation.groups if self.separation is not None else len(self.frame)
        if self._in_order:
            return math.ceil(len(self.frame) / HELD)
        if self._repeats:
            return min(PARTS, most)
        return min(max(lanes, asked if asked > 1 else PARTS, math.ceil(len(self.frame) / HELD)), most)

    def few(self, lanes: int) -> bool:
        """Whether there are too few rows, or too few groups of them, to hold any out."""
        if self.separation is not None:
            return len(self.frame) < FEW or self.separation.groups < 2
        groups = len(self.frame) if self.group is None else len(np.unique(self.group))
        return groups < max(FEW, 2 * self.once(lanes))

    def targets(self, rows: Array) -> tuple[Array, Array | None]:
        """Targets and weights of some rows."""
        return self.y[rows], None if self.w is None else self.w[rows]

    def baseline(self) -> float:
        """Mean loss of the best constant prediction."""
        return self.loss.baseline(self.y, self.w)
