"""When a recording stops: steps, seconds of training, a floor of steps, and pauses that are not training."""

from __future__ import annotations

import pytest

from unstuck.recording import budget
from unstuck.recording.budget import LEAST, LONGEST, PATIENCE, PAUSE, SECONDS, STUBBORN, WAITED, Budget, limits
from unstuck.recording.launch import BudgetSpent


class Clock:
    """A clock that a test turns."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.idle = 100.0, 0.0
        monkeypatch.setattr(budget.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(budget.time, "process_time", lambda: self.now - self.idle)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def spent_after(one: Budget, clock: Clock, step: float, validated: bool = True, most: int = 5_000) -> int:
    """The number of steps of so many seconds that a script makes until it is asked to stop."""
    one.begin()
    for steps in range(1, most):
        clock.now += step
        try:
            one.check(steps, validated)
        except BudgetSpent:
            return steps
    return most


def test_quick_steps_end_after_seconds_of_training(clock: Clock) -> None:
    one = Budget()
    assert spent_after(one, clock, 0.0625) == SECONDS / 0.0625
    assert (one.spent, one.cut_by) == ("budget", "seconds")
    assert spent_after(Budget(), clock, 0.0625, validated=False) == PATIENCE * SECONDS / 0.0625


def test_slow_steps_are_recorded_until_there_are_enough(clock: Clock) -> None:
    assert spent_after(Budget(), clock, 0.25) == LEAST
    assert spent_after(Budget(), clock, 10.0) == LONGEST / 10.0


def test_what_was_asked_for_is_exact(clock: Clock) -> None:
    assert spent_after(Budget(limits(seconds=1.0)), clock, 0.25, validated=False) == 4
    one = Budget(limits(steps=5))
    assert spent_after(one, clock, 0.25) == 5 and one.cut_by == "steps"
    assert spent_after(Budget(limits(steps=5)), clock, 20.0) == 5
    assert spent_after(Budget(limits(steps=400)), clock, 0.25) == 400
    assert spent_after(Budget(limits(steps=10, seconds=1.0)), clock, 0.25) == 4


@pytest.mark.parametrize("effort", [0.5, 4.0])
def test_effort_scales_the_default(effort: float, clock: Clock) -> None:
    assert spent_after(Budget(limits(effort=effort)), clock, 0.25) == LEAST * effort
    assert spent_after(Budget(limits(effort=effort)), clock, 0.0625) == SECONDS * effort / 0.0625


def test_nothing_is_counted_before_the_first_backward(clock: Clock) -> None:
    one = Budget()
    clock.now += 1_000.0
    one.check(0, validated=False)
    assert one.deadline(0, validated=False) == float("inf")
    assert spent_after(one, clock, 0.0625) == SECONDS / 0.0625


def test_a_long_validation_is_not_taken_for_training(clock: Clock) -> None:
    one = Budget()
    one.begin()
    for steps in range(1, 301):
        clock.now += 0.0625 if steps != 250 else 60.0
        one.check(steps, validated=True)
    assert one.trained < 300 * 0.0625 + PAUSE + 1.0


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_busy_machine_changes_nothing_but_the_time_it_takes(clock: Clock, share: float) -> None:
    one = Budget()
    one.begin()
    for steps in range(1, 101):
        clock.now += 0.0625 / (1 - share)
        clock.idle += share * 0.0625 / (1 - share)
        one.check(steps, validated=True)
    assert one.trained == pytest.approx(100 * 0.0625 * max(1.0, 1 / (1 - share) / WAITED))


def test_a_script_that_will_not_stop_is_left_alone(clock: Clock) -> None:
    one = Budget(limits(steps=1))
    one.begin()
    for _ in range(STUBBORN):
        with pytest.raises(BudgetSpent):
            one.check(2, validated=True)
    one.check(3, validated=True)
    assert one.left(3) == float("inf") and one.deadline(3, validated=True) == float("inf")
