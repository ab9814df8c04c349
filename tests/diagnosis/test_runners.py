"""Making experiments: whatever fails in one is one entry of the log with its reason, and the diagnosis still comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.experiment import Replay, Request, Rerun, Resample, Run, Sweep
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.pipeline import diagnose
from unstuck.diagnosis.rerun import PatchedRun, PatchedRuns
from unstuck.diagnosis.runners import Runners
from unstuck.diagnosis.whole_runs import compared, run_of
from unstuck.remedies.treatment import CannotApply, CannotEdit
from unstuck.replay.bench import Bench
from unstuck.rules.catalogue import catalogue
from unstuck.source.text import Sources
from unstuck.tape.model import Tape

FAULTS = ("bad-init",)
TWO_LINES = RuntimeError("out of memory\nand a long story")


def same(thing: Any) -> Any:
    return thing


def raises(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@dataclass(frozen=True)
class Made:
    """A remedy of two functions."""

    name: str = "made"
    trust: str = "safe"
    apply: Callable[[Any], Any] = same
    edit: Callable[[Sources], Sources] = same

    def summary(self) -> str:
        return f"try {self.name}"

    def stronger(self) -> None:
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script whose first weights are all equal, and its tape."""
    made = tmp_path_factory.mktemp("runners")
    tape_of(catalogue()["bad-init"].fires, made)
    return made


@pytest.fixture
def tape(folder: Path) -> Tape:
    from unstuck.tape.files import load

    return load(folder / "tape")


@pytest.fixture
def run(tape: Tape) -> Iterator[Runners]:
    with closing(Runners(tape, lambda _: None)) as runners:
        yield runners


@pytest.mark.parametrize(("method", "request_"), [
    ("treat", Request(Replay(), (Made(),), FAULTS)),
    ("untreated", Request(Replay(0.4))),
    ("sweep", Request(Sweep())),
])  # fmt: skip
def test_a_bench_that_fails_is_one_failed_entry(
    method: str, request_: Request, run: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, method, raises(TWO_LINES))
    done = run(request_)
    assert (done.request, done.word, done.why) == (request_, "not-tried", "RuntimeError: out of memory")
    assert not done.made and done.seconds > 0


@pytest.mark.parametrize(("error", "why"), [
    (CannotApply("there is no hidden layer"), "there is no hidden layer"),
    (ValueError("shapes differ"), "the treated step cannot be run again (shapes differ)"),
    (AttributeError("no attribute"), "AttributeError: no attribute"),
])  # fmt: skip
def test_a_remedy_that_cannot_be_applied_says_why(error: Exception, why: str, run: Runners) -> None:
    done = run(Request(Replay(), (Made(apply=raises(error)),), FAULTS))
    assert (done.word, done.why) == ("not-tried", why)


def test_a_step_that_cannot_be_replayed_says_why_to_every_request(
    run: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unstuck.diagnosis.runners.Bench", lambda *_: SimpleNamespace(why="its step has 4000 calls"))
    for request in (Request(Replay(0.4)), Request(Sweep()), Request(Resample("mixed"))):
        assert (run(request).word, run(request).why) == ("not-tried", "its step has 4000 calls")


def test_rows_that_cannot_be_told_apart_say_so(run: Runners, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.diagnosis.runners.resampled", raises(NotApplicable("rows cannot be told apart")))
    assert run(Request(Resample("halves"))).why == "rows cannot be told apart"


def test_a_replay_has_two_arms_and_its_power(run: Runners) -> None:
    done = run(Request(Replay(), (Made(),), FAULTS))
    assert done.word in ("no-difference", "undecided")
    assert done.without == done.treated
    assert done.power.startswith(f"8 lanes, {done.steps} steps")
    assert done.interval == (0.0, 0.0)


@pytest.mark.parametrize(("error", "why"), [
    (CannotEdit("no optimizer was found"), "made was not written into the patch: no optimizer was found"),
    (IndexError("list index out of range"), "made was not written into the patch: IndexError: list index out of range"),
])  # fmt: skip
def test_an_edit_that_raises_costs_its_remedy_alone(
    error: Exception, why: str, run: Runners, tape: Tape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatchedRuns, "of", lambda *_: PatchedRun(0, tape, ""))
    bad = Made(edit=raises(error))
    alone = run(Request(Rerun(), (bad,), FAULTS))
    assert (alone.word, alone.why, alone.notes) == ("not-tried", why, (why,))
    good = Made("good", edit=lambda s: Sources({**s.files, "train.py": "pass\n"}, s.main))
    both = run(Request(Rerun(), (bad, good), FAULTS))
    assert both.written == (good,)
    assert both.files == (("train.py", "pass\n"),)
    assert both.notes == (why,)


@pytest.mark.parametrize(("outcome", "why"), [
    (PatchedRun(1, None, "ValueError: x"), "the patched script ended with exit code 1: ValueError: x"),
    (PatchedRun(None, None, ""), "the patched script was stopped: it took too long"),
    (FileNotFoundError("the script is not on this machine"),
     "the patched script was not run: the script is not on this machine"),
])  # fmt: skip
def test_a_patched_script_that_fails_keeps_its_files_in_the_entry(
    outcome: PatchedRun | OSError, why: str, run: Runners, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = raises(outcome) if isinstance(outcome, OSError) else lambda *_: outcome
    monkeypatch.setattr(PatchedRuns, "of", answer)
    remedy = Made(edit=lambda s: Sources({**s.files, "train.py": "pass\n"}, s.main))
    done = run(Request(Rerun(), (remedy,), FAULTS))
    assert (done.word, done.why) == ("not-tried", why)
    assert (done.written, done.files) == ((remedy,), (("train.py", "pass\n"),))


def learnt(skill: float, **more: Any) -> Run:
    return Run(skill=skill, score=0.5 + skill / 2, passes=400, task="classes", **more)


@pytest.mark.parametrize(("before", "after", "word"), [
    (learnt(0.0), learnt(0.9), "heals"),
    (learnt(0.4), learnt(0.6), "helps"),
    (learnt(0.7), learnt(0.72), "no-difference"),
    (learnt(0.0), learnt(0.02), "undecided"),
    (learnt(0.9), learnt(0.5), "harms"),
    (learnt(0.9, evaluation=0.1), learnt(0.9, evaluation=0.9), "heals"),
    (learnt(0.9, evaluation=0.8), learnt(0.9, evaluation=0.86), "helps"),
    (Run(ended=False, error="shapes differ"), learnt(0.0), "heals"),
    (learnt(0.0, evaluation=0.0), learnt(0.9, evaluation=0.01), "undecided"),  # its rows by heart
    (learnt(0.0, evaluation=0.0), learnt(0.9, evaluation=0.8), "heals"),
])  # fmt: skip
def test_two_single_runs_are_compared_on_their_batches_and_their_evaluation(before: Run, after: Run, word: str) -> None:
    assert compared(before, after)[0] == word


def test_a_tape_without_a_step_is_a_run_that_never_trained(tape: Tape) -> None:
    run = run_of(tape)
    assert (run.ended, run.error, run.passes) == (True, "", len(tape.passes))
    empty = Tape(script="train.py", folder="", torch="", stopped="", error={"message": "no file"})
    assert run_of(empty) == Run(ended=False, error="no file")


@pytest.mark.net
def test_the_diagnosis_comes_though_every_replay_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("treat", "sweep"):
        monkeypatch.setattr(Bench, method, raises(TWO_LINES))
    diagnosis = diagnose(folder / "tape")
    replays = [e for e in diagnosis.log if isinstance(e.request.means, Replay | Sweep) and e.request.remedies]
    assert replays
    assert {(e.word, e.why) for e in replays} == {("not-tried", "RuntimeError: out of memory")}
    reruns = [e for e in diagnosis.log if isinstance(e.request.means, Rerun)]
    assert any(e.works for e in reruns), "the patched script alone decides where nothing can be replayed"
    assert [f.fault for f in diagnosis.causes] == ["bad-init"]


def test_the_diagnosis_comes_though_every_experiment_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("_replay", "_sweep", "_resample", "_rerun", "_recount", "_baseline", "_micro"):
        monkeypatch.setattr(Runners, kind, raises(TWO_LINES))
    diagnosis = diagnose(folder / "tape")
    assert diagnosis.causes == ()
    assert [f.fault for f in diagnosis.suspects] == ["bad-init"]
    assert all(f.effect.because for f in diagnosis.suspects)
    assert diagnosis.log and not any(e.made for e in diagnosis.log)
