"""The plan as a function of findings and log: which experiment comes next, and what a finished log settles."""

from __future__ import annotations

import pytest

from tests.diagnosis.worlds import Named, World, found, names
from unstuck.diagnosis.experiment import (
    Experiment,
    Headroom,
    Recorded,
    Recount,
    Replay,
    Request,
    Rerun,
    Resample,
    Run,
    Sweep,
)
from unstuck.diagnosis.log import Budget
from unstuck.diagnosis.model import proven
from unstuck.diagnosis.plan import foresight, plan
from unstuck.diagnosis.search import SCREEN
from unstuck.diagnosis.stages import Stage

SCALE = found("input-scale", "scale")
RATE = found("lr-too-low", "rate", stage=Stage.OPTIMISATION)
DEAD = found("dead-relu", "leak", stage=Stage.MECHANISM)
UNCLEARED = found("no-zero-grad", "clear", stage=Stage.WIRING, known="observed", never_meant=True)
TOTALS = found("metric-error", "totals", stage=Stage.REPORTING, known="read")
WELL = Run(skill=0.95, curve=(0.95,) * 24, score=0.97, passes=400, task="classes", evaluation=0.95)


def skills(**by_names: float) -> dict[frozenset[str], float]:
    return {frozenset(name.split("_")): skill for name, skill in by_names.items()}


def test_nothing_is_tried_without_findings_on_a_run_that_learns() -> None:
    world = World([], run=WELL)
    assert world.diagnose().rerun is None
    assert len(world.log) == 1


def test_a_remedy_that_heals_is_screened_rerun_and_chosen() -> None:
    world = World([SCALE], replayed=skills(scale=0.9))
    choice = world.diagnose()
    assert choice.rerun is not None
    assert names(choice.rerun.request.remedies) == ("scale",)
    assert world.asked(Replay) == [(), ("scale",)]
    assert world.asked(Rerun) == [("scale",)]


def test_the_rerun_is_foreseen_while_replays_are_at_work() -> None:
    world = World([SCALE, RATE], replayed=skills(scale=0.5, rate=0.5))
    world.log = [Experiment(Request(Recorded()), "undecided", "", run=world.run)]
    foreseen = None
    while foreseen is None:
        request, foreseen = foresight(world.findings, world.log, Budget())
        assert request is not None
        world.log.append(world.make(request)[0])
    assert isinstance(foreseen.means, Rerun)
    assert names(foreseen.remedies) == ("scale",)


def test_of_two_that_do_the_same_good_the_one_upstream_is_chosen() -> None:
    choice = World([RATE, SCALE], replayed=skills(scale=0.82, rate=0.84, scale_rate=0.84)).diagnose()
    assert choice.replay is not None
    assert choice.replay.request.faults == ("input-scale",)


def test_two_remedies_are_combined_when_one_is_not_enough_and_pruned_to_what_is_needed() -> None:
    table = skills(scale=0.3, rate=0.3, leak=0.0, scale_rate=0.95, scale_rate_leak=0.95, scale_leak=0.3, rate_leak=0.3)
    choice = World([SCALE, RATE, DEAD], replayed=table).diagnose()
    assert choice.replay is not None
    assert set(names(choice.replay.request.remedies)) == {"scale", "rate"}


MECHANISM = [
    found("optimizer-params", "hold", stage=Stage.WIRING),
    found("input-offset", "centre"),
    found("dead-relu", "leak", stage=Stage.MECHANISM),
]


@pytest.mark.parametrize(("together", "faults"), [(0.9, {"input-offset", "optimizer-params"}), (0.4, {"dead-relu"})])
def test_what_sets_a_mechanism_going_is_chosen_where_it_does_as_much_good(together: float, faults: set[str]) -> None:
    """ReLUs die of inputs far from zero, while the optimizer does not hold half of the weights."""
    alone = skills(leak=0.65, centre=0.47, hold=0.3)
    with_leak = dict.fromkeys(skills(leak_centre=0, leak_hold=0, leak_centre_hold=0), 0.65)
    run = Run(skill=0.2, curve=(0.2,) * 24, score=0.6, passes=400, task="classes")
    choice = World(MECHANISM, run=run, replayed={**alone, **with_leak, **skills(centre_hold=together)}).diagnose()
    assert choice.replay is not None
    assert set(choice.replay.request.faults) == faults


def test_what_rewires_the_program_goes_before_a_larger_gain() -> None:
    choice = World([UNCLEARED, SCALE], replayed=skills(clear=0.7, scale=0.8, clear_scale=0.8)).diagnose()
    assert choice.replay is not None
    assert "no-zero-grad" in choice.replay.request.faults


def test_a_slow_remedy_gets_the_whole_course() -> None:
    choice = World([SCALE], screened=skills(scale=0.0), replayed=skills(scale=0.7)).diagnose()
    assert choice.replay is not None
    assert choice.replay.share == 1.0


def test_a_screening_is_enough_only_if_the_patched_script_agrees() -> None:
    agrees = World([SCALE], replayed=skills(scale=0.9)).diagnose()
    disagrees = World([SCALE], replayed=skills(scale=0.9), rerun=skills(scale=0.2)).diagnose()
    assert agrees.replay is not None
    assert disagrees.replay is not None
    assert agrees.replay.share < disagrees.replay.share == 1.0


def test_rates_are_swept_only_if_nothing_has_healed() -> None:
    healed, stuck = World([SCALE], replayed=skills(scale=0.9)), World([SCALE])
    healed.diagnose()
    stuck.diagnose()
    assert not healed.asked(Sweep)
    assert stuck.asked(Sweep) == [()]


def test_a_finding_of_the_sweep_is_tried_and_replaces_the_guess() -> None:
    guess = found("lr-too-low", "guessed-rate", stage=Stage.OPTIMISATION)
    world = World([guess], swept=[RATE], replayed=skills(rate=0.9))
    choice = world.diagnose()
    assert choice.rerun is not None
    assert names(choice.rerun.request.remedies) == ("rate",)


def test_a_failed_replay_does_not_end_the_plan() -> None:
    world = World([SCALE], unplayable="its step cannot be replayed", rerun=skills(scale=0.9))
    choice = world.diagnose()
    assert choice.replay is None
    assert choice.rerun is not None
    assert choice.rerun.works


def test_undecided_suspects_are_rerun_one_by_one_most_upstream_first() -> None:
    world = World([DEAD, SCALE, RATE], unplayable="too heavy", rerun=skills(rate=0.9))
    choice = world.diagnose()
    assert world.asked(Rerun) == [("scale",), ("rate",)]
    assert choice.rerun is not None
    assert names(choice.rerun.request.remedies) == ("rate",)


def test_a_fact_that_is_never_meant_is_rerun_although_a_replay_says_nothing() -> None:
    run = Run(skill=0.4, curve=(0.4,) * 24, score=0.7, passes=400, task="classes")
    world = World([UNCLEARED], run=run, rerun=skills(clear=0.95))
    choice = world.diagnose()
    assert choice.rerun is not None
    assert choice.rerun.word == "heals"


def test_a_refuted_remedy_is_not_rerun() -> None:
    run = Run(skill=0.7, curve=(0.7,) * 24, score=0.85, passes=400, task="classes", evaluation=0.7)
    world = World([SCALE, UNCLEARED], run=run)
    world.diagnose()
    assert not world.asked(Rerun)


def test_what_is_read_in_the_text_is_settled_by_a_rerun_and_a_recount() -> None:
    world = World([TOTALS], run=WELL, reported="heals")
    choice = world.diagnose()
    assert choice.rerun is not None
    assert world.asked(Rerun) == world.asked(Recount) == [("totals",)]


def test_resampling_is_made_before_anything_is_replayed() -> None:
    misaligned = found("label-misaligned", stage=Stage.TARGETS, settles=("halves",), leaves_nothing=True)
    world = World([misaligned, RATE], replayed=skills(rate=0.9), shown={"halves": "helps"})
    choice = world.diagnose()
    assert isinstance(world.log[2].request.means, Resample)
    assert choice.rerun is None, "nothing downstream of labels that belong to other rows can help"


RICH = Headroom("accuracy", 0.5, 0.97, "a learner on the rows", (0.95, 0.98), (0.9, 0.96), 0.5)
POOR = Headroom("accuracy", 0.5, 0.5, "a learner on the rows", (0.45, 0.55), (-0.1, 0.1), 0.5)
GENERIC = found("bad-init", "redraw", stage=Stage.INIT, origin="battery")


def test_generic_remedies_are_tried_where_nothing_heals_and_the_rows_hold_more() -> None:
    world = World([SCALE, GENERIC], replayed=skills(redraw=0.9), headroom=RICH)
    choice = world.diagnose()
    assert choice.rerun is not None
    assert choice.rerun.request.faults == ("bad-init",)
    assert world.asked(Replay).index(("redraw",)) > world.asked(Replay).index(("scale",))


def test_generic_remedies_are_not_tried_where_something_heals_or_the_rows_hold_nothing() -> None:
    healed = World([SCALE, GENERIC], replayed=skills(scale=0.9, redraw=0.9), headroom=RICH)
    hopeless = World([SCALE, GENERIC], replayed=skills(redraw=0.9), headroom=POOR)
    for world in (healed, hopeless):
        world.diagnose()
        assert ("redraw",) not in world.asked(Replay)


def test_generic_remedies_are_left_out_where_no_time_is_left() -> None:
    world = World([SCALE, GENERIC], replayed=skills(redraw=0.9), headroom=RICH)
    world.diagnose(Budget(late=True))
    assert ("redraw",) not in world.asked(Replay)


def test_labels_that_simple_learners_predict_need_no_halves() -> None:
    misaligned = found("label-misaligned", stage=Stage.TARGETS, settles=("halves",), leaves_nothing=True)
    world = World([misaligned], shown={"halves": "helps"}, headroom=RICH)
    world.diagnose()
    assert not any(isinstance(e.request.means, Resample) for e in world.log)


def test_a_search_goes_on_while_the_rows_hold_much_more() -> None:
    run = Run(skill=0.62, curve=(0.62,) * 24, score=0.81, passes=400, task="classes")
    more = Headroom("accuracy", 0.81, 0.99, "a learner on the rows", (0.98, 1.0), (0.34, 0.38), 0.5)
    assert World([GENERIC], run=run, replayed=skills(redraw=0.95), headroom=more).diagnose().rerun is not None
    same = Headroom("accuracy", 0.81, 0.83, "a learner on the rows", (0.8, 0.86), (-0.02, 0.1), 0.5)
    assert World([GENERIC], run=run, replayed=skills(redraw=0.95), headroom=same).diagnose().rerun is None


def test_what_hides_behind_a_patch_is_found_on_its_tape() -> None:
    dead = found("no-step", "step", stage=Stage.WIRING, effect=proven("no weight ever moved"))
    world = World(
        [dead],
        rerun={frozenset({"step"}): 0.3, frozenset({"step", "scale"}): 0.95},
        behind={frozenset({"step"}): [SCALE]},
        run=Run(skill=0.0, curve=(0.0,), score=0.5, passes=400, task="classes"),
    )
    choice = world.diagnose()
    assert choice.inner is not None
    assert choice.inner.rerun is not None
    assert choice.last is choice.inner.rerun


def test_a_rate_that_the_whole_run_does_not_bear_is_made_smaller() -> None:
    high = found("lr-too-high", Named("0.1", then="0.01"), stage=Stage.OPTIMISATION)
    rerun = {frozenset({"0.1"}): 0.3, frozenset({"0.01"}): 0.95}
    choice = World([high], replayed={frozenset({"0.1"}): 0.9}, rerun=rerun).diagnose()
    assert choice.rerun is not None
    assert names(choice.rerun.request.remedies) == ("0.01",)


def test_late_means_no_sweep_and_no_further_rerun() -> None:
    world = World([SCALE, RATE])
    world.diagnose(Budget(late=True))
    assert not world.asked(Sweep)
    assert not world.asked(Rerun)


def test_no_prove_asks_for_nothing() -> None:
    world = World([SCALE])
    assert world.diagnose(Budget(prove=False)).replay is None
    assert len(world.log) == 1


def test_an_unknown_task_is_not_searched_unless_its_loss_says_something() -> None:
    adrift = Run(skill=-0.2, task="unknown", adrift=True, passes=400)
    world = World([SCALE], run=adrift)
    world.diagnose()
    assert not world.asked(Replay)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0], [1, 2, 0]])
def test_the_order_of_findings_changes_nothing(order: list[int]) -> None:
    findings = [SCALE, RATE, DEAD]
    table = skills(scale=0.4, rate=0.4, leak=0.1, scale_rate=0.9, scale_rate_leak=0.9)
    world = World([findings[i] for i in order], replayed=table)
    reference = World(findings, replayed=table)
    world.diagnose()
    reference.diagnose()
    assert [e.request.key for e in world.log] == [e.request.key for e in reference.log]


def test_the_plan_is_a_function_of_the_log() -> None:
    world = World([SCALE, RATE], replayed=skills(scale=0.9))
    world.diagnose()
    for cut in range(1, len(world.log)):
        request = plan(world.findings, world.log[:cut], Budget())
        assert request is not None
        assert request.key == world.log[cut].request.key
    assert SCREEN in {e.request.means for e in world.log}


def test_a_remedy_whose_patched_script_learns_is_not_given_up_for_a_better_replay() -> None:
    schedule = found("scheduler-misuse", "steady", stage=Stage.OPTIMISATION)
    world = World(
        [schedule], replayed=skills(steady=0.56, rate=0.85), rerun=skills(steady=0.88, rate=0.0), swept=[RATE]
    )
    choice = world.diagnose()
    assert choice.last is not None
    assert names(choice.last.request.remedies) == ("steady",)
    assert not world.asked(Sweep)
