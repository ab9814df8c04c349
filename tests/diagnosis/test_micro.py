"""Micro-experiments in the plan: they come first, need no rule, and what no rule names is told as a statement."""

from __future__ import annotations

import pytest

from tests.diagnosis.test_conclude import concluded, roles
from tests.diagnosis.test_plan import SCALE, WELL, skills
from tests.diagnosis.worlds import World, found
from unstuck.diagnosis.conclude import statements
from unstuck.diagnosis.experiment import Experiment, Micro, Request
from unstuck.diagnosis.log import Budget
from unstuck.diagnosis.micro_runs import MICRO_SECONDS, UNWELL, allowed
from unstuck.diagnosis.model import Statement, proven
from unstuck.diagnosis.stages import Stage
from unstuck.micro.catalogue import micro_experiments
from unstuck.tape.model import Tape

BUDGET = Budget(micro=("birth", "rows"))


def kinds(world: World) -> list[str]:
    return [e.request.means.kind for e in world.log if isinstance(e.request.means, Micro)]


def test_they_are_made_first_and_on_a_run_that_learns_too() -> None:
    world = World([], run=WELL)
    world.diagnose(BUDGET)
    assert kinds(world) == ["birth", "rows"]
    assert len(world.log) == 3
    other = World([SCALE], replayed=skills(scale=0.9))
    other.diagnose(BUDGET)
    assert isinstance(other.log[1].request.means, Micro) and isinstance(other.log[2].request.means, Micro)


def test_they_are_made_without_proof_too() -> None:
    world = World([SCALE])
    world.diagnose(Budget(prove=False, micro=("birth",)))
    assert kinds(world) == ["birth"] and len(world.log) == 2


def test_a_rule_that_reads_one_is_asked_again_and_its_answer_counts() -> None:
    sure = found("nonfinite-gradient", stage=Stage.OUTPUT, known="observed", effect=proven("it is born here"))
    guess = found("nonfinite-gradient", stage=Stage.OUTPUT)
    world = World([guess], micro={"birth": [sure]})
    diagnosis = concluded(world, BUDGET)
    assert roles(diagnosis) == {"nonfinite-gradient": "cause"}
    assert [f.effect.word for f in diagnosis.findings] == ["proven"]


def test_what_no_cause_or_suspect_names_is_a_statement() -> None:
    sure = found("nonfinite-gradient", stage=Stage.OUTPUT, known="observed", effect=proven("it is born here"))
    named = concluded(World([], micro={"birth": [sure]}), BUDGET)
    assert [s.what for s in named.statements] == ["rows shows this"]
    bare = concluded(World([], run=WELL), BUDGET)
    assert [s.experiment for s in bare.statements] == ["birth", "rows"]
    assert not bare.findings


def test_what_narrows_down_a_cause_is_told_only_where_none_is_proven() -> None:
    fact = Statement("rows are mixed", None, "rows", fault="softmax-dim")
    narrowing = Statement("the optimizer or its rate", None, "by-heart", alone=True)
    log = [Experiment(Request(Micro("any")), "undecided", "", statements=(fact, narrowing))]
    assert statements(log, set()) == (fact, narrowing)
    assert statements(log, set(), caused=True) == (fact,)
    assert statements(log, {"softmax-dim"}) == (narrowing,)


def test_cheaper_ones_leave_time_to_descent_and_by_heart() -> None:
    known, tape = micro_experiments(), Tape(script="", folder="", torch="", stopped="")
    left = [allowed(tape, micro, well=False) for micro in known.values()]
    whole = UNWELL * MICRO_SECONDS
    assert left == sorted(left) and left[-1] == whole
    assert left[0] <= 0.5 * whole
    assert allowed(tape, known["by-heart"], False) - allowed(tape, known["descent"], False) >= 0.3 * whole


def test_a_run_that_is_not_known_to_learn_gets_more_time() -> None:
    known, tape = micro_experiments(), Tape(script="", folder="", torch="", stopped="")
    assert all(allowed(tape, micro, well=False) > allowed(tape, micro) for micro in known.values())


def test_what_explains_a_failure_keeps_no_time_from_others_where_the_run_learns() -> None:
    known, tape = micro_experiments(), Tape(script="", folder="", torch="", stopped="")
    kept = sum(m.keeps for m in known.values() if not m.failing)
    assert allowed(tape, next(iter(known.values()))) == pytest.approx((1 - kept) * MICRO_SECONDS)
    assert {name for name, m in known.items() if m.failing} == {"by-heart", "turned"}
