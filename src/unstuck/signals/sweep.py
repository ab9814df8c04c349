"""The recorded run at many learning rates: a reading that an experiment gives, and that two rules ask for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unstuck.diagnosis.skill import WORTH, learns, tied

LONGER = 4
"""Times as many steps as were recorded. A run that learns in these is too short; at a tenth of the rate it needs ten
times as many."""


@dataclass(frozen=True)
class Sweep:
    """Skill at the end of a replay for each learning rate, from the recorded first weights."""

    factors: tuple[float, ...]
    """Each rate as a multiple of the recorded one; 1 is among them."""
    skills: tuple[float, ...]
    base: float
    """The recorded rate."""
    longer: float = -1.0
    """Skill at the recorded rate after LONGER times as many steps; -1 where that was not tried."""

    @property
    def short(self) -> bool:
        """Whether the run is too short, not its rate too low: in a few times as many steps it catches up with the best
        rate, to a difference that is not worth having."""
        return learns(self.longer) and self.longer > max(self.skills) - WORTH

    @property
    def best(self) -> float:
        """The factor with the highest skill; of tied ones the one nearest to the recorded rate."""
        top = max(self.skills)
        near = (f for f, skill in zip(self.factors, self.skills, strict=True) if tied(skill, top))
        return min(near, key=lambda f: abs(math.log(f)))

    def at(self, factor: float) -> float:
        """The skill at a factor."""
        return self.skills[self.factors.index(factor)]
