"""How much of a run is recorded: the script is asked to stop once the budget is spent.

The clock starts at the first backward, so set-up and imports are free. A default budget is spent after SECONDS of
training, but not before LEAST optimizer steps: a script whose steps take half a second would leave a tape that can show
nothing. LONGEST bounds it all the same.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from unstuck.recording.launch import BudgetSpent

STEPS, SECONDS = 20_000, 25.0
"""Default budget: optimizer steps, and seconds of training."""
LEAST, LONGEST = 200, 120.0
"""A default budget of seconds is not spent before so many optimizer steps; seconds after which it is nevertheless."""
UNBOUNDED = 10**9
"""Optimizer steps where only seconds were asked for."""
PATIENCE = 2.0
"""A script that has not validated yet gets this many times the seconds before it is stopped all the same."""
PAUSE = 2.0
"""Seconds that count of a stretch without a step (a validation, a data set that is loaded), besides its usual time."""
WAITED = 3.0
"""A stretch counts by this process's own work: a machine that is busy with others must not change what is recorded. It
counts as at least one part in WAITED of the time that passed, for a script may wait for its data or its device."""
USUAL = 3.0
"""A step that takes no more than this many times the mean is counted whole."""
STUBBORN = 3
"""A script that catches our request to stop is asked this often."""


class Limits(NamedTuple):
    """When a recording stops: after `steps` optimizer steps; after `seconds` of training, if it made `least` steps; and
    `longest` seconds after its first backward, pauses included."""

    steps: int = STEPS
    seconds: float = SECONDS
    least: int = LEAST
    longest: float = LONGEST

    def words(self) -> list[str]:
        """As options of the recording child."""
        return [word for name, value in self._asdict().items() for word in (f"--{name}", str(value))]


DEFAULT = Limits()


def limits(steps: int | None = None, seconds: float | None = None, effort: float = 1.0) -> Limits:
    """The default limits times `effort`; what was asked for takes their place.

    Seconds that were asked for are exact. Steps that were asked for are waited for, as long as LONGEST allows.
    """
    if seconds is not None:
        return Limits(steps or UNBOUNDED, seconds, 0, seconds)
    if steps is not None:
        return Limits(steps, SECONDS * effort, steps, LONGEST * effort)
    return Limits(round(STEPS * effort), SECONDS * effort, round(LEAST * effort), LONGEST * effort)


class Budget:
    """Optimizer steps and seconds, from `begin` on."""

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self.began: float | None = None
        self.trained = 0.0
        """Seconds of training so far: pauses are not counted in full."""
        self.spent = ""
        self.cut_by = ""
        """Which limit was reached: "steps" or "seconds"."""
        self.raises: type[BudgetSpent] = BudgetSpent
        self._looked, self._steps, self._asked = 0.0, 0, 0
        self._worked = 0.0

    def begin(self) -> None:
        """The first backward."""
        if self.began is None:
            self.began = self._looked = time.monotonic()
            self._worked = time.process_time()

    def passed(self) -> float:
        """Seconds since it began, pauses included; none before."""
        return time.monotonic() - self.began if self.began is not None else 0.0

    def left(self, steps: int) -> float:
        """Of `steps` taken so far, how many may follow."""
        return math.inf if self._asked >= STUBBORN else self.limits.steps - steps

    def deadline(self, steps: int, validated: bool) -> float:
        """The time, of the monotonic clock, at which the budget has to be looked at again."""
        if self.began is None or self._asked >= STUBBORN:
            return math.inf
        end = self.began + self.limits.longest
        if steps < self.limits.least:
            return end
        return min(end, self._looked + max(0.0, self._seconds(validated) - self.trained))

    def due(self, steps: int, validated: bool) -> bool:
        """Whether the budget is spent."""
        if self.began is None:
            return False
        self._count(steps)
        return self._looked >= self.deadline(steps, validated) or self.left(steps) <= 0

    def check(self, steps: int, validated: bool) -> None:
        """Ask the script to stop, by raising BudgetSpent in its loop, once the budget is spent."""
        if self.due(steps, validated):
            self.stop(steps)

    def stop(self, steps: int) -> None:
        """Ask the script to stop, after so many steps."""
        if self._asked < STUBBORN:
            self.spent, self.cut_by = "budget", "steps" if self.left(steps) <= 0 else "seconds"
            self._asked += 1
            raise self.raises

    def _seconds(self, validated: bool) -> float:
        return self.limits.seconds * (1.0 if validated else PATIENCE)

    def _count(self, steps: int) -> None:
        """Add the time since the last look; of a pause no more than PAUSE."""
        now, worked = time.monotonic(), time.process_time()
        passed = now - self._looked
        counted = min(passed, max(worked - self._worked, passed / WAITED))
        made = max(1, steps - self._steps)
        mean = self.trained / self._steps if self._steps else 0.0
        self.trained += min(counted, PAUSE + USUAL * made * mean)
        self._looked, self._worked, self._steps = now, worked, steps
