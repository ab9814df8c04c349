"""The learning rate over the steps, as the optimizers were given it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unstuck.diagnosis import NotApplicable
from unstuck.tape import Tape

FEW = 20
"""Steps below which a schedule has not begun."""


@dataclass(frozen=True)
class Rates:
    """The first group's rate at every step of the optimizer that steps most."""

    values: tuple[float, ...]

    @property
    def first(self) -> float:
        return self.values[0]

    @property
    def peak(self) -> float:
        return max(self.values)

    @property
    def spent(self) -> float:
        """Share of the run after which the rate stays below SPENT of its peak (1 where it never does)."""
        alive = [n for n, rate in enumerate(self.values) if rate > SPENT * self.peak]
        return (alive[-1] + 1) / len(self.values)

    @property
    def moves(self) -> bool:
        """Whether there is any schedule."""
        return max(self.values) > min(self.values)

    @classmethod
    def read(cls, tape: Tape) -> Rates:
        counts = [sum(u.optimizer == n for u in tape.updates) for n in range(len(tape.optimizers))]
        if not counts or max(counts) < FEW:
            raise NotApplicable(f"fewer than {FEW} steps of one optimizer were recorded")
        number = counts.index(max(counts))
        values = tuple(u.rates[0] for u in tape.updates if u.optimizer == number and u.rates)
        if not values or not all(math.isfinite(v) for v in values) or max(values) <= 0:
            raise NotApplicable("the learning rate is not known")
        return cls(values)


SPENT = 0.02
"""Of its peak: steps of this size no longer change anything that matters."""
