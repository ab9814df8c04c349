"""Asking the rules: what a rule says of its fault reaches its findings, and a rule that fails costs no other rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.diagnosis.test_conclude import concluded, roles
from tests.diagnosis.test_plan import DEAD, SCALE, skills
from tests.diagnosis.worlds import World, names
from unstuck.diagnosis.examine import Readings, examine, readers
from unstuck.diagnosis.model import Finding, NotApplicable, Outcome
from unstuck.diagnosis.stages import Stage
from unstuck.rules.catalogue import Rule, catalogue, pages
from unstuck.signals.learning import Learning
from unstuck.signals.sweep import Sweep
from unstuck.tape.model import Tape

TAPE = Tape(script="train.py", folder="", torch="2", stopped="script ended")


class Count:
    """A reading that counts how often it is taken."""

    taken = 0

    @classmethod
    def read(cls, tape: Tape) -> Count:
        cls.taken += 1
        raise NotApplicable("there is nothing to count")


def fires(tape: Tape) -> Iterator[Finding]:
    yield Finding("odd-batch", f"{tape.script} has an odd batch", severity="error", role="cause")


def fails(tape: Tape) -> Iterator[Finding]:
    yield Finding("odd-batch", "found before the failure")
    raise ZeroDivisionError("division by zero")


def counts(count: Count) -> Iterator[Finding]:
    yield from ()


def counts_or_not(count: Count | None) -> Iterator[Finding]:
    yield Finding("odd-batch", f"count is {count}")


def rule(check: object, **more: object) -> Rule:
    return Rule("odd-batch", "A page.", check, "", "", **more)  # type: ignore[arg-type]


def asked(check: object, readings: Readings | None = None, **more: object) -> tuple[list[Finding], Outcome]:
    found, (outcome,) = examine(readings or Readings(TAPE), {"odd-batch": rule(check, **more)})
    return found, outcome


def test_what_the_rule_says_of_its_fault_is_on_every_finding() -> None:
    remedies = (object(),)
    readings = Readings(TAPE, behind=remedies)
    more = {"stage": Stage.DATA, "never_meant": True, "leaves_nothing": True}
    (finding,), outcome = asked(fires, readings, **more)
    assert (finding.stage, finding.never_meant, finding.leaves_nothing) == (Stage.DATA, True, True)
    assert (finding.origin, finding.behind) == ("tape", remedies)
    assert outcome == Outcome("odd-batch", "fired", "train.py has an odd batch")


def test_a_rule_says_nothing_of_roles() -> None:
    (finding,), _ = asked(fires)
    assert (finding.severity, finding.role) == ("hint", "hint")


def test_a_rule_that_raises_is_not_applicable_with_its_reason() -> None:
    found, outcome = asked(fails)
    assert found == []
    assert outcome == Outcome("odd-batch", "not-applicable", "the rule failed: ZeroDivisionError: division by zero")


def test_a_rule_that_raises_costs_no_other() -> None:
    found, outcomes = examine(Readings(TAPE), {"one": rule(fails), "two": rule(fires)})
    assert [f.message for f in found] == ["train.py has an odd batch"]
    assert [o.status for o in outcomes] == ["not-applicable", "fired"]


def test_a_reading_that_cannot_be_taken_gives_its_reason_and_is_tried_once() -> None:
    Count.taken = 0
    readings = Readings(TAPE)
    assert asked(counts, readings)[1] == Outcome("odd-batch", "not-applicable", "there is nothing to count")
    assert asked(counts_or_not, readings)[0][0].message == "count is None"
    assert Count.taken == 1


def test_a_reading_that_only_an_experiment_makes_is_not_applicable_before_it() -> None:
    def sweeps(sweep: Sweep) -> Iterator[Finding]:
        yield Finding("odd-batch", f"{len(sweep.factors)} rates")

    sweeps.__annotations__ = {"sweep": Sweep}
    readings = Readings(TAPE)
    assert asked(sweeps, readings)[1].reason == "no sweep was made"
    readings.give(Sweep((1.0, 10.0), (0.1, 0.2), 0.01))
    (finding,), _ = asked(sweeps, readings)
    assert finding.message == "2 rates"


@pytest.mark.parametrize(("skill", "status"), [(0.95, "quiet"), (0.2, "fired"), (None, "fired")])
def test_a_rule_that_needs_room_is_not_asked_where_the_run_learns_well(
    skill: float | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(tape: Tape) -> SimpleNamespace:
        if skill is None:
            raise NotApplicable("no task is known")
        return SimpleNamespace(final=skill)

    monkeypatch.setattr(Learning, "read", read)
    assert asked(fires, needs_room=True)[1].status == status
    assert asked(fires)[1].status == "fired"


def test_a_reading_that_fails_costs_the_rules_that_need_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Learning, "read", lambda tape: 1 / 0)
    found, outcomes = examine(Readings(TAPE), {"one": rule(fires, needs_room=True), "two": rule(fires)})
    assert [o.status for o in outcomes] == ["not-applicable", "fired"]
    assert outcomes[0].reason == "the rule failed: ZeroDivisionError: division by zero"
    assert len(found) == 1


def test_the_rules_about_rates_read_the_sweep() -> None:
    assert {"lr-too-low", "lr-too-high"} <= readers(Sweep).keys()


def test_a_rule_whose_annotations_cannot_be_resolved_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unresolved(sweep: Absent) -> Iterator[Finding]:  # type: ignore[name-defined]  # noqa: F821
        yield from ()

    monkeypatch.setattr("unstuck.diagnosis.examine.catalogue", lambda: {"odd-batch": rule(unresolved)})
    assert readers(Sweep) == {}
    assert asked(unresolved)[1].reason.startswith("the rule failed: NameError")


THEIRS = '''
"""Batches come from a cold cache.

## Why it hurts

They are all alike.
"""

from dataclasses import dataclass

from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.stages import Stage
from unstuck.tape.model import Tape

STAGE = Stage.DATA
NEVER_MEANT = True
FIRES = QUIET = ""


@dataclass(frozen=True)
class Warm:
    name = "warm-the-cache"
    trust = "safe"

    def stronger(self):
        return None


def check(tape: Tape):
    yield Finding("cold-cache", f"{tape.script} reads from a cold cache", remedies=(Warm(),), known="observed")
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with a rule, as pip would install it."""
    (tmp_path / "cold_cache.py").write_text(THEIRS.lstrip())
    metadata = tmp_path / "theirs-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[unstuck.rules]\ncold-cache = cold_cache\n")
    monkeypatch.syspath_prepend(str(tmp_path))


def of_theirs() -> Finding:
    (finding,), _ = examine(Readings(TAPE), {"cold-cache": catalogue()["cold-cache"]})
    return finding


@pytest.mark.usefixtures("installed")
def test_an_installed_rule_is_in_the_catalogue_with_its_stage_and_page() -> None:
    theirs = catalogue()["cold-cache"]
    assert (theirs.stage, theirs.never_meant, theirs.needs_room) == (Stage.DATA, True, False)
    assert pages()["cold-cache"] == theirs.page
    assert theirs.title == "Batches come from a cold cache"
    finding = of_theirs()
    assert (finding.stage, finding.never_meant) == (Stage.DATA, True)


@pytest.mark.usefixtures("installed")
def test_a_finding_of_an_installed_rule_becomes_a_cause() -> None:
    table = {frozenset({"warm-the-cache"}): 0.9}
    diagnosis = concluded(World([of_theirs(), DEAD], replayed=table))
    assert roles(diagnosis) == {"cold-cache": "cause", "dead-relu": "consequence"}


@pytest.mark.usefixtures("installed")
def test_an_installed_rule_ranks_by_its_stage() -> None:
    alike = {frozenset({"warm-the-cache"}): 0.8, **skills(scale=0.82)}
    choice = World([SCALE, of_theirs()], replayed=alike).diagnose()
    assert choice.last is not None
    assert choice.last.request.faults == ("cold-cache",)
    suspects = concluded(World([DEAD, SCALE, of_theirs()])).suspects
    assert [f.fault for f in suspects] == ["cold-cache", "input-scale", "dead-relu"]


@pytest.mark.usefixtures("installed")
def test_the_rerun_of_an_installed_rule_has_its_remedy() -> None:
    world = World([of_theirs()], replayed={frozenset({"warm-the-cache"}): 0.9})
    choice = world.diagnose()
    assert choice.rerun is not None
    assert names(choice.rerun.request.remedies) == ("warm-the-cache",)


def test_a_rule_that_is_not_installed_is_not_in_the_catalogue() -> None:
    assert "cold-cache" not in catalogue() and "cold-cache" not in pages()
