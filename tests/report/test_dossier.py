"""The dossier: complete, strict as JSON, of bounded length as text, and nothing in it that a terminal would act on."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.report.test_page import EVIL, looks
from tests.sample_reports import ALL, SICK
from unstuck.diagnosis.looks import Looks
from unstuck.report.dossier import LONGEST, plain, render, render_json

ACCOUNT: dict[str, Any] = {
    "ranges": [{"start": "-3 to 4", "end": "0 to 0"}, {"start": "0 to 1", "end": "nothing finite"}],
    "targets": {"task": "classes", "min": 0.0, "max": float("nan")},
    "weights": ["w 2x3, in no optimizer"],
    "printed": {"not known": "nothing was printed"},
}


def test_it_tells_what_flows_and_what_was_found() -> None:
    text = render(plain(SICK, looks(), ACCOUNT))
    for words in (
        "## what enters", "mean 92, std 5.8, 74 to 113", "0\n", "input 0:5 linear of w -> 8x4",
        "start: root mean square 1 (-3 to 4); end: root mean square 50 (0 to 0); gradient norm 0.1, 0",
        "task: classes", "w 2x3, in no optimizer", "not known: nothing was printed", "fault: input-offset",
        "role: cause", "effect: proven", "smallest: 0.5", "not finite: 1",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("name", ALL)
def test_it_is_strict_json_and_bounded_text_for_every_diagnosis(name: str) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    for shown, account in ((looks(), ACCOUNT), (Looks(), {})):
        told = plain(ALL[name], shown, account)
        assert json.loads(render_json(told), parse_constant=refuse) == json.loads(json.dumps(told))
        assert told["format"] == 1 and render(told).startswith("## run\nscript: ")


def test_hostile_words_stay_words_and_long_runs_are_cut() -> None:
    report = msgspec.structs.replace(SICK, script=EVIL, notes=(EVIL,) * 3)
    text = render(plain(report, looks(EVIL), {**ACCOUNT, "weights": ["w" * 50] * 5000}))
    assert "\x1b" not in text and "\x00" not in text
    text.encode("utf-8")
    assert len(text) < LONGEST + 100 and text.endswith(f"cut after {LONGEST} characters\n")
    layers = looks().layers * 200
    assert "... 340 calls are left out" in render(plain(SICK, Looks(layers=layers), {}))
