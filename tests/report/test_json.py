"""The JSON report: word for word, strict, and complete."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.report.goldens import same_as_golden
from tests.sample_reports import ALL, HEALED, HEALTHY, MEASUREMENT, SICK, SUSPECTED
from unstuck.diagnosis.model import Diagnosis
from unstuck.report import json as as_json


def parsed(diagnosis: Diagnosis) -> dict[str, Any]:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(as_json.render(diagnosis), parse_constant=refuse)


@pytest.mark.parametrize("name", ALL)
def test_golden(name: str) -> None:
    same_as_golden(f"{name}.json", as_json.render(ALL[name]))


def test_it_is_strict_and_complete() -> None:
    raw = parsed(SICK)
    assert raw["format"] == 1 and raw["unstuck"] == "0.1.0"
    assert raw["causes"] == [
        {
            "fault": "input-offset",
            "site": raw["findings"][0]["site"],
            "message": raw["findings"][0]["message"],
            "proven": True,
        }
    ]
    assert raw["findings"][0]["remedies"] == ["standardise-inputs", "batchnorm-inputs"]
    assert raw["proofs"][0]["with"]["skill"] == list(HEALED)
    assert raw["proofs"][2]["with"]["skill"] == [0.0, None, -9.0] and raw["proofs"][2]["p"] is None
    assert {"file", "line"} <= raw["findings"][0]["site"].keys()
    assert parsed(HEALTHY)["patch"] is None
    assert parsed(MEASUREMENT)["causes"][0]["proven"] is True


def test_every_finding_says_how_it_is_known_and_what_its_effect_is() -> None:
    for finding in (f for d in ALL.values() for f in parsed(d)["findings"]):
        assert finding["known"] in ("observed", "read", "guessed")
        assert finding["effect"] in ("proven", "refuted", "undecided")
        assert (finding["undecided_because"] is not None) == (finding["effect"] == "undecided")


def test_a_suspect_says_why_it_is_undecided_and_how_to_settle_it() -> None:
    (suspect,) = parsed(SUSPECTED)["findings"]
    assert suspect["undecided_because"] == "8 lanes, 12 steps; fewer than 40 steps show nothing"
    assert suspect["to_settle"] == "record more steps: unstuck run --seconds 100 train.py"
    assert {f["to_settle"] for f in parsed(SICK)["findings"]} == {None}


def test_every_experiment_says_by_what_means_and_on_how_much_its_verdict_stands() -> None:
    proofs = parsed(SICK)["proofs"]
    assert [p["means"] for p in proofs] == ["replay", "replay", "replay", "replay", "patched script"]
    assert proofs[1]["power"] == "8 lanes, 100 steps" and proofs[1]["interval"] == [-0.1, 0.2]
    assert (proofs[3]["verdict"], proofs[3]["why"]) == (
        "not-tried",
        "no replay can show what happens before the batches",
    )
