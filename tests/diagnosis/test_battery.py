"""When generic remedies are tried, and what counts for them: the plan on made-up programs."""

from __future__ import annotations

import msgspec

from tests.diagnosis.worlds import World, found
from unstuck.diagnosis.experiment import Headroom, Replay, Rerun, Run
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.stages import Stage


def skills(**by_names: float) -> dict[frozenset[str], float]:
    return {frozenset(name.split("_")): skill for name, skill in by_names.items()}


RICH = Headroom("accuracy", 0.5, 0.97, "a learner on the rows", (0.95, 0.98), (0.9, 0.96), 0.5)
POOR = Headroom("accuracy", 0.5, 0.5, "a learner on the rows", (0.45, 0.55), (-0.1, 0.1), 0.5)
GENERIC = found("bad-init", "redraw", stage=Stage.INIT, origin="battery")
RUN_POOR = Run(skill=0.3, curve=(0.3,) * 24, score=0.65, passes=400, task="classes")
WELL = Run(skill=0.95, curve=tuple(n / 25 for n in range(24)), score=0.97, passes=400, task="classes", evaluation=0.3)
"""A run that knows its training rows, better and better."""
HELD = Headroom("accuracy", 0.65, 0.97, "a learner", (0.95, 0.98), (0.5, 0.7), 0.5, held=True)


def test_a_run_that_knows_only_its_own_rows_is_searched_by_what_it_knows_of_others() -> None:
    world = World([GENERIC], run=WELL, held=skills(redraw=0.9), headroom=HELD)
    choice = world.diagnose()
    assert all(e.request.means.held for e in world.log if isinstance(e.request.means, Replay))
    assert choice.replay is not None and choice.replay.request.faults == ("bad-init",)


def test_its_rising_training_score_does_not_count_for_it() -> None:
    assert state_of(WELL, HELD) == "below-headroom"
    # Where nothing shows that its rows hold more than its evaluation does, neither success nor fault is claimed.
    assert state_of(WELL, msgspec.structs.replace(HELD, baseline=0.7, gain=(0.0, 0.2))) == "unknown"


def test_units_and_first_weights_are_tried_where_another_rate_heals_too() -> None:
    rate = found("lr-too-low", "rate", stage=Stage.OPTIMISATION)
    world = World([GENERIC], replayed=skills(rate=0.95, redraw=0.88), swept=[rate], headroom=RICH)
    choice = world.diagnose()
    assert choice.rerun is not None and choice.rerun.request.faults == ("bad-init",)


def test_a_rate_stays_the_cause_where_first_weights_do_little() -> None:
    rate = found("lr-too-low", "rate", stage=Stage.OPTIMISATION)
    world = World([GENERIC], replayed=skills(rate=0.95, redraw=0.3), swept=[rate], headroom=RICH)
    choice = world.diagnose()
    assert choice.rerun is not None and choice.rerun.request.faults == ("lr-too-low",)


def test_units_that_harm_alone_are_tried_with_first_weights() -> None:
    target = found("target-scale", "targets", stage=Stage.UNITS)
    table = {**skills(targets=-1.0), frozenset({"targets", "redraw"}): 0.97}
    world = World([target, GENERIC], run=RUN_POOR, replayed=table, headroom=RICH)
    choice = world.diagnose()
    assert choice.rerun is not None and set(choice.rerun.request.faults) == {"target-scale", "bad-init"}


def test_generic_remedies_are_tried_by_patched_scripts_where_nothing_can_be_replayed() -> None:
    world = World([GENERIC], unplayable="a call cannot be run again", rerun={frozenset({"redraw"}): 0.9}, headroom=RICH)
    choice = world.diagnose()
    assert choice.rerun is not None and choice.rerun.request.faults == ("bad-init",)
    hopeless = World([GENERIC], unplayable="a call cannot be run again", headroom=POOR)
    hopeless.diagnose()
    assert not hopeless.asked(Rerun)
