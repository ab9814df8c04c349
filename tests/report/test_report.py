"""The faces: what each kind of report looks like, word for word, and that the JSON keeps its promises."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from tests.sample_reports import ALL, HEALED, HEALTHY, MEASUREMENT, SICK
from unstuck.report import json as as_json
from unstuck.report import plot as curves
from unstuck.report import terminal
from unstuck.rules.catalogue import pages

GOLDEN = Path(__file__).parent / "golden"
PAGES = {
    "input-offset": "Far off.\n\n## Why it hurts\n\nThe first layer\nis blind to it.\n\nMore.\n\n## How it is seen\n",
    "metric-error": "Counted wrongly.\n\n## Why it hurts\n\nOne mends what is not broken.\n",
}


@pytest.fixture(autouse=True)
def fixed_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "pages", lambda: PAGES)


def same_as_golden(name: str, text: str) -> None:
    """Compare with the file of that name; UNSTUCK_GOLDEN=1 writes it anew."""
    if os.environ.get("UNSTUCK_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALL)
def test_terminal(name: str) -> None:
    same_as_golden(f"{name}.txt", terminal.render(ALL[name]))


@pytest.mark.parametrize("name", ALL)
def test_json(name: str) -> None:
    same_as_golden(f"{name}.json", as_json.render(ALL[name]))


def test_narrow_colourful_and_ascii() -> None:
    same_as_golden("sick_narrow.txt", terminal.render(SICK, width=60, ascii=True))
    same_as_golden("sick_colour.txt", terminal.render(SICK, colour=True))


def test_quiet_is_the_verdict() -> None:
    text = terminal.verdict(SICK)
    assert terminal.render(SICK).startswith(text)
    assert len(text.splitlines()) < 8


def test_source_lines_are_quoted(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("\n" * 30 + "    y_pred = model(x_train)  # [bold]\n")
    assert "31 | y_pred = model(x_train)  # [bold]" in terminal.verdict(SICK, folder=tmp_path)
    (tmp_path / "train.py").write_text("shorter now\n")
    assert terminal.verdict(SICK, folder=tmp_path) == terminal.verdict(SICK)


@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
@pytest.mark.parametrize("name", ALL)
def test_fits_the_width(name: str, width: int) -> None:
    text, _, _ = terminal.render(ALL[name], width=width).partition("The patch")
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("name", ALL)
def test_ascii_is_ascii(name: str) -> None:
    text = terminal.render(ALL[name], ascii=True)
    assert text.isascii()
    assert "?" not in text


def test_json_is_strict_and_complete() -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    raw = json.loads(as_json.render(SICK), parse_constant=refuse)
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
    assert raw["proofs"][2]["with"]["skill"] == [0.0, None, None] and raw["proofs"][2]["p"] is None
    assert {"file", "line"} <= raw["findings"][0]["site"].keys()
    assert json.loads(as_json.render(HEALTHY))["patch"] is None
    assert json.loads(as_json.render(MEASUREMENT))["causes"][0]["proven"] is True


def test_an_interrupt_is_no_failure() -> None:
    report = msgspec.structs.replace(HEALTHY, stopped="script failed: KeyboardInterrupt")
    assert terminal.verdict(report) == terminal.verdict(HEALTHY)


def test_curves() -> None:
    lines = curves.plot((0.0, -9.0, -30.0), (0.0, 0.5, float("nan"), 0.9), 50, 80)
    assert any("treated 0.9" in line for line in lines) and any("as written -30" in line for line in lines)
    assert curves.plot((), (0.1,), 50, 80) == []
    assert curves.plot((0.0, 1.0), (0.0, 1.0), 50, 20) == []
    flat = curves.plot((0.0, 0.0), (0.0, 0.0), 50, 80)
    assert sum("treated 0" in line or "as written 0" in line for line in flat) == 2


def test_pages_are_read_without_importing() -> None:
    for fault, text in pages().items():
        assert "_" not in fault
        assert text.strip(), fault
