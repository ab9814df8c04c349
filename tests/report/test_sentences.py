"""What a diagnosis says in words, for each state of the run."""

from __future__ import annotations

import math

import msgspec
import pytest

from tests.sample_reports import HEALTHY, MEASUREMENT, RICE, SICK, SUSPECTED, TWO, UNRECORDED
from unstuck.diagnosis.model import Diagnosis, Effect, Recording, State
from unstuck.report.sentences import at_heart, beside, failed, listed, next_steps, number, to_settle, verdict

BARE = msgspec.structs.replace(SICK, findings=(), log=(), decisive=None, patch=None)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0012, "0.0012"), (3.0, "3"), (1e9, "1e+09"), (math.nan, "-"), (None, "-"), ("a", "a"), (-math.inf, "-inf")],
)
def test_numbers(value: float | str | None, words: str) -> None:
    assert number(value) == words


def test_lists() -> None:
    assert [listed(words) for words in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == ["", "a", "a and b", "a, b and c"]


@pytest.mark.parametrize(("state", "learns", "words"), [
    ("learns-well", True, "train.py learns: accuracy 0.549"),
    ("below-headroom", True, "train.py learns its training batches and scores poorly in its own evaluation"),
    ("does-not-learn", False, "train.py does not learn: accuracy 0.549"),
    ("too-early", False, "Too early to tell whether train.py learns after 300 training steps: accuracy 0.549"),
    ("unknown", None, "No score says whether train.py learns: unknown task, or several models trained in turn."),
])  # fmt: skip
def test_the_state_of_the_run(state: State, learns: bool | None, words: str) -> None:
    assert verdict(msgspec.structs.replace(BARE, state=state, learns=learns))[0].startswith(words)


def test_nothing_wrong_is_said_only_where_nothing_fired() -> None:
    clean = msgspec.structs.replace(HEALTHY, findings=())
    assert verdict(clean)[1] == "Nothing wrong was found (4 of 7 rules applied)."
    assert verdict(HEALTHY)[1] == "No fault was found; 1 hint (--verbose)."
    others = [SICK, TWO, RICE, SUSPECTED, MEASUREMENT, BARE, UNRECORDED]
    assert not any("Nothing wrong" in line for d in others for line in verdict(d))


def test_a_run_that_cannot_be_judged_is_not_said_to_be_sound() -> None:
    report = msgspec.structs.replace(BARE, state="unknown", learns=None)
    assert verdict(report)[1] == "No fault was found (4 of 7 rules applied)."


@pytest.mark.parametrize("state", ["does-not-learn", "too-early"])
def test_a_run_that_does_not_learn_and_has_no_cause_says_so(state: State) -> None:
    report = msgspec.structs.replace(BARE, state=state, learns=False)
    assert verdict(report)[1] == "No known fault explains this: 4 of 7 rules applied, 0 experiments made."


def test_a_cause_beside_the_one_that_heals_is_told_apart() -> None:
    assert verdict(RICE)[1] == "Cause: input-offset (also seen as input-scale). Also found: metric-error."
    assert (at_heart(RICE), beside(RICE)) == (("input-offset", "metric-error"), ("metric-error",))
    assert verdict(TWO)[1] == "Causes, together: input-offset and lr-too-high."
    assert verdict(SUSPECTED)[1] == "No cause is proven; one suspect is listed below."


def test_the_fix_says_the_numbers_before_and_after() -> None:
    assert verdict(SICK)[2] == "Fix: standardise-inputs. Accuracy 0.549 -> 0.985 (patched script)."
    replayed = msgspec.structs.replace(SICK, metric=None, patch=None)
    assert verdict(replayed)[1:] == (
        "Cause: input-offset.",
        "Fix: standardise-inputs. Skill 0.02 -> 0.93 (1 is perfect, 0 the baseline; replay).",
    )


def test_a_fix_of_what_is_printed_says_what_is_printed() -> None:
    assert SICK.metric is not None
    same = msgspec.structs.replace(SICK.metric, treated=SICK.metric.as_written)
    reported = Effect("proven", "training is unchanged; printed accuracy 0.7 before, 0.94 after the patch")
    causes = tuple(msgspec.structs.replace(f, effect=reported) for f in SICK.findings)
    fix = next(s for s in verdict(msgspec.structs.replace(SICK, metric=same, findings=causes)) if s.startswith("Fix"))
    assert fix.endswith("Training is unchanged; printed accuracy 0.7 before, 0.94 after the patch.")


def test_a_script_that_failed_says_where_it_stopped() -> None:
    stopped = "script failed: RuntimeError: mat1 and mat2 shapes cannot be multiplied"
    report = msgspec.structs.replace(BARE, stopped=stopped, steps=1)
    assert failed(report)
    assert verdict(report)[0] == (
        "train.py stopped after one training step (RuntimeError: mat1 and mat2 shapes cannot be multiplied)."
    )
    assert verdict(UNRECORDED) == (
        "Nothing was recorded of a training step: script failed: FileNotFoundError: no file [data.csv].",
    )
    assert verdict(msgspec.structs.replace(UNRECORDED, stopped="the diagnosis failed: OSError")) == (
        "Nothing can be said about train.py: the diagnosis failed: OSError.",
    )


def test_the_next_steps_name_the_script_as_it_was_given() -> None:
    write, *explain = next_steps(SICK, "src/train.py")
    assert write.startswith("unstuck run --write src/train.py ")
    assert explain == ["unstuck explain input-offset"]
    assert next_steps(HEALTHY) == ()


@pytest.mark.parametrize(("change", "advice"), [
    ({}, "record more steps: unstuck run --seconds 100 train.py"),
    ({"recorded": None}, "apply clear-gradients and compare two runs (unstuck explain no-zero-grad)"),
])  # fmt: skip
def test_what_settles_a_suspect(change: dict[str, object], advice: str) -> None:
    assert to_settle(SUSPECTED.findings[0], msgspec.structs.replace(SUSPECTED, **change)) == advice


@pytest.mark.parametrize(("recorded", "said"), [
    (Recording(300, None, None, 5.0), None),
    (Recording(5, 900, "steps"),
     "Recording stopped the script after 5 training steps of 900; --steps 20 records more."),
    (Recording(210, None, "seconds", 61.3), "Recording stopped the script after 210 training steps, 61 s of training; "
     "--seconds 250 or --effort thorough records more."),
    (Recording(1, None, "interrupt"), "The script was interrupted after one training step; a longer run "
     "may show more."),
    (Recording(70, None, "signal"), "The process ended without Python's clean-up; its first 70 training "
     "steps were recorded."),
])  # fmt: skip
def test_what_was_cut_is_said(recorded: Recording, said: str | None) -> None:
    lines = verdict(msgspec.structs.replace(HEALTHY, recorded=recorded, steps=recorded.steps))
    assert lines[2:] == ((said,) if said else ())


def test_why_no_training_step_was_seen_is_said_where_it_is_known() -> None:
    report = msgspec.structs.replace(UNRECORDED, stopped="script ended")
    assert verdict(report) == ("Nothing was recorded of a training step: script ended.",)
    report = msgspec.structs.replace(report, notes=("not recorded: an optimizer steps in a thread",))
    assert verdict(report) == ("Nothing was recorded of a training step: an optimizer steps in a thread.",)


def test_a_suspect_without_experiments_or_remedies_has_other_advice() -> None:
    suspect = SUSPECTED.findings[0]
    untried = msgspec.structs.replace(suspect, effect=Effect("undecided", "no experiment was made"))
    assert to_settle(untried, SUSPECTED) == "run without --no-prove"
    by_hand = msgspec.structs.replace(suspect, remedies=())
    assert to_settle(by_hand, SUSPECTED) == "check the line by hand (unstuck explain no-zero-grad)"


@pytest.mark.parametrize("diagnosis", [SICK, HEALTHY, TWO, RICE, SUSPECTED, MEASUREMENT])
def test_every_line_ends_with_a_full_stop(diagnosis: Diagnosis) -> None:
    assert all(line.endswith(".") and ".." not in line for line in verdict(diagnosis))
