"""The learning rate at each step, as the optimizers had it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from unstuck.diagnosis.model import NotApplicable
from unstuck.tape.model import Tape

FEW = 20
"""Steps below which nothing is said about a schedule: many change the rate once per epoch."""
SPENT = 0.02
"""Of the peak: from here on, 50 steps move the weights less far than one step did at the peak."""


@dataclass(frozen=True)
class Rates:
    """The learning rate of the first parameter group of the optimizer that steps most."""

    values: tuple[float, ...]
    steps: tuple[int, ...]
    """The step of each value; far apart in a long run."""
    built: float = 0.0
    """`initial_lr`, which schedulers note on the optimizer; 0 if there is none."""

    @property
    def first(self) -> float:
        return self.values[0]

    @property
    def peak(self) -> float:
        return max(self.values)

    @property
    def spent(self) -> float:
        """Share of the run after which the rate stays below SPENT of its peak; 1 if it never does."""
        alive = [n for n, rate in enumerate(self.values) if rate > SPENT * self.peak]
        return 1.0 if alive[-1] + 1 == len(self.values) else self.steps[alive[-1] + 1] / (self.steps[-1] + 1)

    @property
    def moves(self) -> bool:
        """Whether there is any schedule."""
        return max(self.values) > min(self.values)

    @property
    def rising(self) -> bool:
        """Whether it never fell, and is at its highest only now: a warm-up that has not ended."""
        pairs = pairwise(self.values)
        return self.moves and all(one <= other for one, other in pairs) and self.values[-2] < self.peak

    @classmethod
    def read(cls, tape: Tape) -> Rates:
        counts = [sum(u.optimizer == n for u in tape.updates) for n in range(len(tape.optimizers))]
        if not counts or max(counts) < FEW:
            raise NotApplicable(f"fewer than {FEW} steps of one optimizer were recorded")
        number = counts.index(max(counts))
        values = tuple(u.rates[0] for u in tape.updates if u.optimizer == number and u.rates)
        steps = tuple(range(len(values)))
        if len(tape.optimizers) == 1:
            late = [(int(step), rates[0]) for step, *rates in tape.facts.late_rates if rates]
            values, steps = values + tuple(r for _, r in late), steps + tuple(s for s, _ in late)
        if not values or not all(math.isfinite(v) for v in values) or max(values) <= 0:
            raise NotApplicable("the learning rate is not known")
        groups = tape.optimizers[number].groups
        return cls(values, steps, float((groups[0].get("initial_lr") if groups else 0.0) or 0.0))
