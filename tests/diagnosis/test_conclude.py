"""The conclusion as a function of findings and log: roles, states, the patch, and what is said of each finding."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.diagnosis.test_plan import DEAD, RATE, SCALE, TOTALS, UNCLEARED, WELL, skills
from tests.diagnosis.worlds import STUCK, World, found
from unstuck.diagnosis.conclude import Context, conclude, learning
from unstuck.diagnosis.experiment import Experiment, Headroom, Recorded, Request, Run, Sweep
from unstuck.diagnosis.log import Budget
from unstuck.diagnosis.model import Diagnosis, Finding, Known, Role, State, proven
from unstuck.diagnosis.roles import role, state_of
from unstuck.diagnosis.stages import Stage
from unstuck.tape.model import Tape

TEXT = "nothing\n"
STATES: tuple[State, ...] = ("learns-well", "below-headroom", "does-not-learn", "too-early", "unknown")


def concluded(world: World, budget: Budget = Budget()) -> Diagnosis:  # noqa: B008
    world.diagnose(budget)
    tape = Tape(
        script="train.py", folder=str(Path.cwd()), torch="2", steps=400, stopped="script ended", seconds=1.0,
        sources={"train.py": TEXT}, parameters=(), optimizers=(), programs=(), passes=(), updates=(), evaluations=(),
    )  # fmt: skip
    return conclude(tape, world.known, world.log, Context((), budget, {}, ("accuracy", 0.5)))


def roles(diagnosis: Diagnosis) -> dict[str, Role]:
    return {f.fault: f.role for f in diagnosis.findings}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("known", ["observed", "read", "guessed"])
@pytest.mark.parametrize("never_meant", [True, False])
def test_the_table_of_roles(state: State, known: Known, never_meant: bool) -> None:
    assert role("proven", known, never_meant, state) == "cause"
    assert role("refuted", known, never_meant, state) == "hint"
    poor = state in ("below-headroom", "does-not-learn")
    sure = state in ("too-early", "unknown") and never_meant and known != "guessed"
    assert role("undecided", known, never_meant, state) == ("suspect" if poor or sure else "hint")


def test_a_generic_remedy_is_shown_only_if_it_is_proven() -> None:
    generic = found("bad-init", "redraw", stage=Stage.INIT, origin="battery")
    rich = Headroom("accuracy", 0.5, 0.97, "a learner on the rows", (0.95, 0.98), (0.9, 0.96), 0.5)
    healed = concluded(World([generic], replayed={frozenset({"redraw"}): 0.9}, headroom=rich))
    assert roles(healed) == {"bad-init": "cause"}
    assert healed.headroom == rich
    assert roles(concluded(World([generic], headroom=rich))) == {}


@pytest.mark.parametrize(("after", "known"), [(0.9, {"bad-init": "cause"}), (0.12, {})])
def test_one_patched_run_proves_a_generic_remedy_only_by_a_gain_worth_having(after: float, known: dict) -> None:
    generic = found("bad-init", "redraw", stage=Stage.INIT, origin="battery")
    world = World([generic], rerun=skills(redraw=after), unplayable="its optimizer is its own")
    assert roles(concluded(world)) == known


def test_without_a_seed_one_patched_run_proves_no_generic_remedy() -> None:
    generic = found("bad-init", "redraw", stage=Stage.INIT, origin="battery")
    chance = msgspec.structs.replace(STUCK, seeded=False)
    world = World([generic], run=chance, rerun=skills(redraw=0.9), unplayable="its optimizer is its own")
    assert roles(concluded(world)) == {}


def test_a_guess_whose_patch_does_worse_is_refuted() -> None:
    run = Run(skill=0.3, curve=(0.3,) * 24, score=0.6, passes=400, task="classes", evaluation=0.3)
    world = World([SCALE], run=run, rerun=skills(scale=0.05), unplayable="its optimizer is its own")
    (finding,) = concluded(world).findings
    assert (finding.role, finding.effect.word) == ("hint", "refuted")


def test_a_run_far_below_what_its_rows_hold_is_below_headroom() -> None:
    run = Run(skill=0.7, curve=(0.7,) * 24, score=0.85, passes=400, task="classes")
    much = Headroom("accuracy", 0.85, 0.99, "a learner", (0.98, 1.0), (0.26, 0.3), 0.5)
    little = Headroom("accuracy", 0.85, 0.9, "a learner", (0.88, 0.92), (0.06, 0.14), 0.5)
    assert state_of(run, much) == "below-headroom"
    assert state_of(run, little) == "learns-well"
    early = Run(skill=0.7, curve=tuple(i / 30 for i in range(24)), score=0.85, passes=400, task="classes", cut=True)
    assert state_of(early, much) == "learns-well"


@pytest.mark.parametrize(("headroom", "known"), [
    (Headroom("r2", 0.051, 0.046, "a scaled linear map", (0.03, 0.06), (-0.01, 0.0), 0.0), ("unknown", True)),
    (Headroom("r2", 0.051, 0.046, "a scaled linear map", (-0.01, 0.1), (-0.05, 0.04), 0.0), ("does-not-learn", False)),
    (Headroom("r2", 0.051, 0.3, "a scaled linear map", (0.28, 0.32), (0.2, 0.3), 0.0), ("does-not-learn", False)),
])  # fmt: skip
def test_a_run_that_gets_what_little_its_rows_hold_learns(headroom: Headroom, known: tuple[State, bool]) -> None:
    run = Run(skill=0.058, curve=(0.058,) * 24, score=0.058, passes=1200, task="regression")
    state = state_of(run, headroom)
    assert (state, learning(state, run, headroom)) == known


@pytest.mark.parametrize(("run", "state"), [
    (Run(skill=0.95, passes=400, task="classes"), "learns-well"),
    (Run(skill=0.3, passes=400, task="classes"), "unknown"),
    (Run(skill=0.0, curve=(0.0,) * 24, passes=400, task="classes"), "does-not-learn"),
    (Run(skill=0.0, curve=(0.0,) * 24, passes=30, task="classes"), "too-early"),
    (Run(skill=0.1, curve=tuple(i / 150 for i in range(24)), passes=400, task="classes", cut=True), "too-early"),
    (Run(skill=0.1, curve=tuple(i / 150 for i in range(24)), passes=400, task="classes"), "does-not-learn"),
    (Run(skill=0.0, passes=400, task="classes", cut=True, warming=True), "too-early"),
    (Run(skill=-1.0, passes=400, task="classes", broke=True), "does-not-learn"),
    (Run(skill=0.9, passes=400, task="unknown"), "unknown"),
    (Run(skill=0.0, passes=400, task="binary", turns=True), "unknown"),
    (Run(ended=False, error="shapes differ"), "unknown"),
    (Run(), "unknown"),
])  # fmt: skip
def test_states(run: Run, state: State) -> None:
    assert state_of(run) == state


def test_a_remedy_that_heals_makes_a_cause_and_a_proven_patch() -> None:
    diagnosis = concluded(World([SCALE], replayed=skills(scale=0.9)))
    assert roles(diagnosis) == {"input-scale": "cause"}
    assert diagnosis.patch is not None
    assert diagnosis.patch.proven
    assert diagnosis.metric is not None
    assert diagnosis.metric.treated == pytest.approx(0.95)
    assert diagnosis.decisive is not None
    assert diagnosis.log[diagnosis.decisive].request.faults == ("input-scale",)


def test_undecided_is_not_innocent() -> None:
    """A replay that shows nothing on a run that learns nothing leaves the finding a suspect, with the reason."""
    diagnosis = concluded(World([UNCLEARED, SCALE]))
    assert roles(diagnosis) == {"no-zero-grad": "suspect", "input-scale": "suspect"}
    assert [f.fault for f in diagnosis.suspects] == ["no-zero-grad", "input-scale"], "facts before guesses"
    assert all(f.severity == "warning" and f.effect.because for f in diagnosis.suspects)


@pytest.mark.parametrize(("skill", "what"), [(0.7, "suspect"), (0.95, "hint")])
def test_a_fact_that_nobody_means_is_a_suspect_of_a_run_that_learns_only_fairly(skill: float, what: Role) -> None:
    run = Run(skill=skill, curve=(skill,) * 24, score=0.85, passes=400, task="classes", evaluation=skill)
    fact = found("no-zero-grad", never_meant=True, known="observed")
    guess = found("dead-relu", never_meant=True)
    diagnosis = concluded(World([fact, guess], run=run))
    assert diagnosis.state == "learns-well"
    assert roles(diagnosis) == {"no-zero-grad": what, "dead-relu": "hint"}


def test_a_remedy_that_heals_and_is_not_chosen_says_so() -> None:
    diagnosis = concluded(World([SCALE, DEAD], replayed=skills(scale=0.8, leak=0.75, scale_leak=0.8)))
    assert roles(diagnosis)["input-scale"] == "cause"
    (other,) = (f for f in diagnosis.findings if f.fault == "dead-relu")
    assert other.effect.word == "undecided"
    assert other.effect.because.endswith("another one was chosen")


def test_without_experiments_findings_are_suspects() -> None:
    diagnosis = concluded(World([SCALE], replayed=skills(scale=0.9)), Budget(prove=False))
    assert roles(diagnosis) == {"input-scale": "suspect"}
    assert diagnosis.suspects[0].effect.because == "no experiment was made"


def test_a_consequence_is_quiet_on_the_patched_run() -> None:
    table = skills(scale=0.9, leak=0.0)
    gone = concluded(World([SCALE, DEAD], replayed=table))
    left = concluded(World([SCALE, DEAD], replayed=table, behind={frozenset({"scale"}): [DEAD]}))
    assert roles(gone) == {"input-scale": "cause", "dead-relu": "consequence"}
    assert roles(left) == {"input-scale": "cause", "dead-relu": "hint"}


def test_what_a_powerful_replay_does_not_change_is_refuted() -> None:
    run = Run(skill=0.7, curve=(0.7,) * 24, score=0.85, passes=400, task="classes", evaluation=0.7)
    diagnosis = concluded(World([SCALE], run=run))
    (finding,) = diagnosis.findings
    assert (finding.role, finding.effect.word) == ("hint", "refuted")


def test_a_replay_that_the_patched_script_contradicts_proves_nothing() -> None:
    run = Run(skill=0.3, curve=(0.3,) * 24, score=0.6, passes=400, task="classes")
    world = World([RATE], run=run, replayed=skills(rate=0.9), rerun=skills(rate=0.1))
    assert roles(concluded(world))["lr-too-low"] != "cause"


@pytest.mark.parametrize(("steps", "what"), [(16, "hint"), (400, "cause")])
def test_a_few_steps_faster_is_no_cure_where_the_patched_run_ends_the_same(steps: int, what: Role) -> None:
    run = Run(skill=0.7, curve=(0.7,) * 24, score=0.85, passes=400, task="classes", evaluation=0.7)
    world = World([SCALE], run=run, replayed=skills(scale=0.95), rerun=skills(scale=0.72), steps=steps)
    assert roles(concluded(world)) == {"input-scale": what}


@pytest.mark.parametrize(("end", "what"), [(0.72, "hint"), (0.85, "cause")])
def test_a_faster_beginning_is_no_cure_of_a_run_that_ends_as_well_without_it(end: float, what: Role) -> None:
    run = Run(skill=0.7, curve=(0.7,) * 24, score=0.85, passes=2000, task="classes", evaluation=0.7)
    world = World([SCALE], run=run, replayed=skills(scale=0.95), rerun=skills(scale=end), steps=280)
    assert roles(concluded(world)) == {"input-scale": what}


def test_a_wrong_report_is_proven_by_the_recount_alone() -> None:
    healed, same = (World([TOTALS], run=WELL, reported=word) for word in ("heals", "undecided"))
    assert roles(concluded(healed)) == {"metric-error": "cause"}
    assert roles(concluded(same)) == {"metric-error": "hint"}


def test_what_stands_in_a_patch_that_heals_is_no_cause_for_that() -> None:
    diagnosis = concluded(World([SCALE, TOTALS], replayed=skills(scale=0.9), rerun=skills(scale_totals=0.9)))
    assert roles(diagnosis) == {"input-scale": "cause", "metric-error": "hint"}


def test_a_failed_patched_script_leaves_the_replay_its_word_and_the_patch_unproven() -> None:
    diagnosis = concluded(World([SCALE], replayed=skills(scale=0.9), rerun={frozenset({"scale"}): None}))
    assert roles(diagnosis) == {"input-scale": "cause"}
    assert diagnosis.patch is None or not diagnosis.patch.proven


def test_a_finding_that_the_tape_proves_needs_no_experiment() -> None:
    leak = found("eval-leak", stage=Stage.REPORTING, known="observed", effect=proven("80 rows are on both sides"))
    diagnosis = concluded(World([leak], run=WELL))
    assert roles(diagnosis) == {"eval-leak": "cause"}
    assert diagnosis.causes[0].severity == "error"


def test_labels_of_other_rows_make_a_run_one_that_does_not_learn() -> None:
    misaligned = found("label-misaligned", stage=Stage.TARGETS, settles=("halves",), leaves_nothing=True)
    run = Run(skill=0.9, curve=(0.9,) * 24, score=0.95, passes=400, task="classes")
    diagnosis = concluded(World([misaligned], run=run, shown={"halves": "helps"}))
    assert (diagnosis.state, diagnosis.learns) == ("does-not-learn", False)
    assert roles(diagnosis) == {"label-misaligned": "cause"}


def test_a_refuted_resampling_leaves_a_hint() -> None:
    misaligned = found("label-misaligned", stage=Stage.TARGETS, settles=("halves",))
    diagnosis = concluded(World([misaligned], shown={"halves": "no-difference"}))
    assert roles(diagnosis) == {"label-misaligned": "hint"}


def test_nothing_above_a_hint_on_a_run_that_learns_well() -> None:
    diagnosis = concluded(World([SCALE, DEAD, RATE], run=WELL))
    assert set(roles(diagnosis).values()) == {"hint"}


def test_every_experiment_is_in_the_log_also_one_that_failed() -> None:
    diagnosis = concluded(World([SCALE], unplayable="its step cannot be replayed"))
    assert any(not e.made and e.why == "its step cannot be replayed" for e in diagnosis.log)
    assert "no replay: its step cannot be replayed" in diagnosis.notes


@pytest.mark.parametrize(("short", "slope", "state"), [
    (True, 1 / 160, "too-early"), (True, 0.0, "does-not-learn"), (False, 1 / 160, "does-not-learn"),
])  # fmt: skip
def test_a_run_that_improves_and_learns_in_more_steps_is_too_early(short: bool, slope: float, state: State) -> None:
    run = Run(skill=0.12, curve=tuple(n * slope for n in range(24)), passes=88, task="classes")
    log = (
        Experiment(Request(Recorded()), "undecided", "the recorded run", run=run),
        Experiment(Request(Sweep()), "undecided", "14 learning rates", short=short),
    )
    tape = Tape(script="train.py", folder="", torch="2", stopped="script ended")
    assert conclude(tape, [], log).state == state


FORMAT = found("target-construction", stage=Stage.TARGETS, known="observed", never_meant=True)
"""A fact that nobody means, and that no experiment can settle."""


@pytest.mark.parametrize(("reached", "expected"), [(0.4, "suspect"), (0.95, "cause")])
def test_what_makes_up_for_a_standing_fact_in_part_is_no_cause(reached: float, expected: Role) -> None:
    table = {frozenset({"scale"}): reached}
    diagnosis = concluded(World([FORMAT, SCALE], replayed=table, rerun=dict(table)))
    assert roles(diagnosis)["input-scale"] == expected
    assert (diagnosis.patch is None) == (expected == "suspect")


def test_a_partial_remedy_is_a_cause_where_no_fact_stands() -> None:
    table = {frozenset({"scale"}): 0.4}
    assert roles(concluded(World([SCALE], replayed=table, rerun=dict(table))))["input-scale"] == "cause"


def test_a_generic_remedy_beside_a_standing_fact_is_a_hint() -> None:
    table = {frozenset({"scale"}): 0.4}
    generic = msgspec.structs.replace(SCALE, origin="battery")
    diagnosis = concluded(World([FORMAT, generic], replayed=table, rerun=dict(table)))
    assert roles(diagnosis)["input-scale"] == "hint"


def test_a_fact_that_only_a_patched_script_can_show_is_tried_before_what_may_make_up_for_it() -> None:
    class Unplayable(World):
        def _replay(self, request: Request) -> tuple[Experiment, list[Finding]]:
            stored = any(r.name == "copy" for r in request.remedies)
            return (Experiment(request, "not-tried", "not recorded"), []) if stored else super()._replay(request)

    stored = found("data-mutated", "copy", stage=Stage.DATA, known="read", never_meant=True)
    skills_ = {frozenset({"scale"}): 0.9, frozenset({"copy"}): 0.95}
    diagnosis = concluded(Unplayable([stored, SCALE], replayed=skills_, rerun=dict(skills_)))
    assert roles(diagnosis)["data-mutated"] == "cause"
    assert roles(diagnosis)["input-scale"] != "cause"
