"""Answers are short, have a version, and say why where they say nothing."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.sample_reports import HEALTHY, RICE, SICK, SUSPECTED, UNRECORDED
from unstuck.diagnosis.model import Diagnosis
from unstuck.mcp import answers
from unstuck.trial.model import Pair, Trial


@pytest.mark.parametrize("found", [HEALTHY, RICE, SICK, SUSPECTED, UNRECORDED])
def test_every_diagnosis_is_strict_json_of_a_few_pages(found: Diagnosis) -> None:
    text = json.dumps(answers.diagnosis(found, "tape-1"), allow_nan=False)
    told = json.loads(text)
    assert told["schema_version"] == answers.SCHEMA and told["tool"] == "diagnose"
    assert len(text) < 20_000


def test_a_diagnosis_names_cause_place_numbers_and_patch() -> None:
    told = answers.diagnosis(RICE, "tape-1")
    assert told["abstained"] is None and told["tape"] == "tape-1"
    assert [c["fault"] for c in told["causes"]] == [f.fault for f in RICE.causes]
    assert told["causes"][0]["at"].startswith("train.py:") and told["causes"][0]["evidence"]
    assert told["patch"]["diff"].startswith("--- a/train.py") and told["patch"]["proven"] is True


def test_what_was_not_recorded_is_an_abstention() -> None:
    assert "no training step was recorded" in answers.diagnosis(UNRECORDED, None)["abstained"]


def test_too_early_is_an_abstention() -> None:
    early = msgspec.structs.replace(HEALTHY, state="too-early", learns=None)
    assert answers.diagnosis(early, "t")["abstained"].startswith("too early to tell")


def test_a_run_that_learns_well_is_an_answer() -> None:
    assert answers.diagnosis(HEALTHY, "t")["abstained"] is None


def test_a_long_patch_is_cut_and_says_so() -> None:
    assert RICE.patch is not None
    longer = msgspec.structs.replace(RICE, patch=msgspec.structs.replace(RICE.patch, diff="+" * 99_999))
    told = answers.diagnosis(longer, "t")["patch"]
    assert told["cut"] is True and len(told["diff"]) == answers.DIFF


def test_an_undecided_trial_is_an_abstention_with_its_pairs() -> None:
    undecided = Trial("train.py", "lr", "undecided", "the seeds differ", pairs=(Pair(0, 0.5, None),), most=8)
    told = answers.trial(undecided)
    assert told["abstained"].startswith("undecided") and told["pairs"] == [[0.5, None]] and told["better"] is False
