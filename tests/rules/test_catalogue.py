"""Every rule of the catalogue: fires on its sick script, is quiet on the twin, and its remedy does what it says."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path

import pytest
import torch

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine, readers
from unstuck.diagnosis.experiment import Arm
from unstuck.diagnosis.model import Finding, NotApplicable, Remedy
from unstuck.diagnosis.verdict import judge
from unstuck.micro.catalogue import micro_experiments
from unstuck.micro.step import Recorded
from unstuck.remedies.treatment import CannotApply, CannotEdit
from unstuck.replay.bench import Bench
from unstuck.replay.run import LaneResult
from unstuck.rules.catalogue import Rule, catalogue
from unstuck.signals.learning import Learning
from unstuck.source.text import Sources
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape

RULES = catalogue()
SWEPT = {"lr-too-high", "lr-too-low"}
"""Rules that read an experiment: the sweep of rates."""
OWN_NUMBERS = {"redraw-weights", "widen", "set-dropout", "shuffle-batches", "permute-rows", "draw-order"}
"""Remedies that draw random numbers of their own: their patch and their replay agree in kind, not to the digit."""
HEADINGS = ("## Why it hurts", "## How it is seen", "## What to do")


@functools.cache
def recorded(text: str) -> Tape:
    return tape_of(text, Path(tempfile.mkdtemp(prefix="unstuck-catalogue-")), seconds=10.0)


@functools.cache
def bench(text: str) -> Bench:
    return Bench(recorded(text))


def findings(rule: Rule, text: str) -> list[Finding]:
    readings = Readings(recorded(text))
    if rule.fault in SWEPT:
        readings.give(bench(text).sweep())
    for micro in micro_experiments().values():
        if rule.fault in readers(micro.reading):
            with contextlib.suppress(NotApplicable, CannotReplay):
                readings.give(micro.ask(Recorded(recorded(text))))
    found, (outcome,) = examine(readings, {rule.fault: rule})
    assert "failed" not in outcome.reason, outcome.reason
    return found


def patched(text: str, remedy: Remedy) -> str:
    tape = recorded(text)
    return remedy.edit(Sources(dict(tape.sources), "train.py")).files["train.py"]


@pytest.fixture(params=sorted(RULES))
def rule(request: pytest.FixtureRequest) -> Rule:
    return RULES[request.param]


def test_the_page_has_its_headings(rule: Rule) -> None:
    places = [rule.page.find(heading) for heading in HEADINGS]
    assert -1 < places[0] < places[1] < places[2]
    assert len(rule.title) < 100


def test_it_fires_on_its_script_at_a_line_of_it(rule: Rule) -> None:
    found = findings(rule, rule.fires)
    assert found
    assert all(f.fault == rule.fault for f in found)
    lines = len(rule.fires.splitlines())
    assert all(f.site is None or 1 <= f.site.line <= lines for f in found)


def test_it_is_quiet_on_the_healthy_twin(rule: Rule) -> None:
    assert findings(rule, rule.quiet) == []
    assert recorded(rule.quiet).error is None


def test_a_remedy_heals(rule: Rule) -> None:
    found = findings(rule, rule.fires)
    if not any(f.remedies for f in found):
        pytest.skip("no remedy of this fault can be applied automatically")
    if any(f.effect.word == "proven" for f in found):
        pytest.skip("the tape itself proves the effect; tests/net runs the patched script")
    assert any(_heals(rule, remedy) for f in found for remedy in f.remedies)


def _heals(rule: Rule, remedy: Remedy) -> bool:
    sick = bench(rule.fires)
    if sick.why:
        return _patched_learns_better(rule.fires, remedy)
    try:
        arms = [Arm(lanes=tuple(r.skill().tolist())) for r in (sick.written, sick.treat([remedy]))]
    except CannotApply:
        return _patched_learns_better(rule.fires, remedy)
    return judge(*arms, steps=len(sick.course.passes)).word in ("heals", "helps")


def _patched_learns_better(text: str, remedy: Remedy) -> bool:
    after = recorded(patched(text, remedy))
    before = recorded(text)
    if before.error is not None:
        return after.error is None
    return Learning.read(after).final > Learning.read(before).final + 0.05


@pytest.mark.net
def test_the_patch_runs_and_leaves_the_rule_nothing_to_say(rule: Rule) -> None:
    for finding in findings(rule, rule.fires):
        for remedy in finding.remedies[:1]:
            text = patched(rule.fires, remedy)
            assert recorded(text).error is None
            left = findings(rule, text)
            assert [f.message for f in left if f.site == finding.site and f.message == finding.message] == []


@pytest.mark.net
def test_what_is_recommended_is_what_was_tried(rule: Rule) -> None:
    remedies = [f.remedies[0] for f in findings(rule, rule.fires) if f.remedies]
    comparable = [r for r in remedies if r.name not in OWN_NUMBERS]
    if not comparable:
        pytest.skip("no remedy, or only ones that draw random numbers of their own")
    if recorded(rule.fires).error is not None:
        pytest.skip("the script stops before its first step: nothing can be replayed")
    reasons = [reason for remedy in comparable if (reason := _differs(rule.fires, remedy))]
    if len(reasons) == len(comparable):
        pytest.skip(reasons[0])


def _differs(text: str, remedy: Remedy) -> str:
    """Assert that the patched script's losses are the treated replay's; the reason if that cannot be told."""
    sick = bench(text)
    if sick.why:
        return sick.why
    if any("dropout" in c.name for c in sick.tape.programs[sick.main].calls):
        return "dropout draws random numbers of its own"
    try:
        treated, after = sick.treat([remedy]), patched(text, remedy)
    except (CannotApply, CannotEdit) as reason:
        return str(reason)
    edited = bench(after)
    assert edited.why == ""
    assert _losses(edited.written) == pytest.approx(_losses(treated), rel=0.02, abs=1e-4, nan_ok=True)
    return ""


def _losses(result: LaneResult) -> list[float]:
    return torch.stack(result.losses)[:12, 0].tolist()
