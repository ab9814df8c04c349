"""How much of a run is recorded: the script is asked to stop once the budget is spent."""

from __future__ import annotations

import math
import time

from unstuck.recording.launch import BudgetSpent

STEPS, SECONDS = 20_000, 25.0
"""Default budget: optimizer steps, and seconds of the script's own time from its first backward on."""
PATIENCE = 2.0
"""A script that has not validated yet gets this many times the seconds before it is stopped all the same."""
STUBBORN = 3
"""A script that catches our request to stop is asked this often."""


class Budget:
    """Optimizer steps and seconds, from `begin` on."""

    def __init__(self, steps: int = STEPS, seconds: float = SECONDS) -> None:
        self.steps, self.seconds = steps, seconds
        self.began: float | None = None
        self.spent = ""
        self._asked = 0

    def begin(self) -> None:
        """The first backward."""
        self.began = self.began if self.began is not None else time.monotonic()

    def passed(self) -> float:
        """Seconds since it began; none before."""
        return time.monotonic() - self.began if self.began is not None else 0.0

    def left(self, steps: int) -> float:
        """Of `steps` taken so far, how many may follow."""
        return math.inf if self._asked >= STUBBORN else self.steps - steps

    def deadline(self, validated: bool) -> float:
        """The time, of the monotonic clock, from which on the script is asked to stop."""
        if self.began is None or self._asked >= STUBBORN:
            return math.inf
        return self.began + self.seconds * (1.0 if validated else PATIENCE)

    def check(self, steps: int, validated: bool) -> None:
        """Ask the script to stop, by raising BudgetSpent in its loop, once the budget is spent."""
        if self.began is None or (self.left(steps) > 0 and time.monotonic() < self.deadline(validated)):
            return
        self.spent = "budget"
        self._asked += 1
        raise BudgetSpent
