"""The terminal report, word for word, for each kind of diagnosis."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.report.goldens import same_as_golden
from tests.sample_reports import ALL, HEALTHY, RATE, SICK, SUSPECTED
from unstuck.report import terminal

PAGES = {
    "input-offset": "Far off.\n\n## Why it hurts\n\nThe first layer\nis blind to it.\n\nMore.\n\n## How it is seen\n",
    "metric-error": "Counted wrongly.\n\n## Why it hurts\n\nPeople debug a network that works.\n",
}


@pytest.fixture(autouse=True)
def fixed_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "pages", lambda: PAGES)


@pytest.mark.parametrize("name", ALL)
def test_first_screen(name: str) -> None:
    same_as_golden(f"{name}.txt", terminal.render(ALL[name]))


@pytest.mark.parametrize("name", ["sick", "two", "healthy"])
def test_verbose(name: str) -> None:
    same_as_golden(f"{name}_verbose.txt", terminal.render(ALL[name], verbose=True))


def test_narrow_colourful_and_ascii() -> None:
    same_as_golden("sick_narrow.txt", terminal.render(SICK, width=60, ascii=True, verbose=True))
    same_as_golden("sick_colour.txt", terminal.render(SICK, colour=True, verbose=True))


@pytest.mark.parametrize("name", ALL)
def test_verbose_only_adds(name: str) -> None:
    short, full = (terminal.render(ALL[name], verbose=v).splitlines() for v in (False, True))
    assert [line for line in short if line not in full and "--verbose" not in line] == []


@pytest.mark.parametrize("name", ALL)
def test_quiet_is_the_verdict_and_the_places(name: str) -> None:
    words = terminal.verdict(ALL[name], width=1000)
    report = ALL[name]
    assert len(words.splitlines()) <= 3 + 2 * len((*report.causes, *report.suspects))
    full = [line.strip() for line in terminal.render(ALL[name], width=1000).splitlines()]
    assert [line for line in words.splitlines() if line.strip() not in full] == []
    assert full[0] == words.splitlines()[0]


def test_source_lines_are_quoted(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("\n" * 30 + "    y_pred = model(x_train)  # [bold]\n")
    assert "31 | y_pred = model(x_train)  # [bold]" in terminal.render(SICK, folder=tmp_path)
    (tmp_path / "train.py").write_text("shorter now\n")
    assert terminal.render(SICK, folder=tmp_path) == terminal.render(SICK)


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("width", [20, 40, 60, 100, 200])
@pytest.mark.parametrize("name", ALL)
def test_fits_the_width(name: str, width: int, verbose: bool) -> None:
    text = terminal.render(ALL[name], width=width, verbose=verbose)
    patch = ALL[name].patch
    diff = patch.diff.splitlines() if patch is not None else []
    lines = [line for line in text.splitlines() if line not in diff and not line.startswith("Patch (")]
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_ascii_is_ascii(name: str, verbose: bool) -> None:
    text = terminal.render(ALL[name], ascii=True, verbose=verbose)
    assert text.isascii()
    assert "?" not in text


def test_a_long_diff_and_many_experiments_are_cut_on_the_first_screen_only() -> None:
    assert SICK.patch is not None
    diff = SICK.patch.diff + "".join(f"+line {n}\n" for n in range(40))
    long = msgspec.structs.replace(SICK, patch=msgspec.structs.replace(SICK.patch, diff=diff), log=SICK.log[:3] * 4)
    first, full = terminal.render(long), terminal.render(long, verbose=True)
    assert "+line 39" not in first and "more lines (--verbose, or --patch FILE)" in first
    assert "... and 6 more (--verbose)" in first
    assert "+line 39" in full and "more (--verbose" not in full


def test_only_three_suspects_are_shown_at_length() -> None:
    names = ("no-zero-grad", "bad-init", "dead-relu", "lr-too-low", "lr-too-high")
    suspects = tuple(msgspec.structs.replace(SUSPECTED.findings[0], fault=name) for name in names)
    many = msgspec.structs.replace(SUSPECTED, findings=suspects)
    assert "... and 2 more (--verbose): lr-too-low and lr-too-high" in terminal.render(many)
    assert "lr-too-high  gradients are not cleared" in terminal.render(many, verbose=True)


def test_an_interrupt_is_no_failure() -> None:
    report = msgspec.structs.replace(HEALTHY, stopped="script failed: KeyboardInterrupt")
    assert terminal.verdict(report) == terminal.verdict(HEALTHY)


def test_findings_of_one_line_quote_it_once(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("\n" * 11 + "rate = 10\n")
    twice = msgspec.structs.replace(SICK, findings=(RATE, msgspec.structs.replace(RATE, fault="exploding-gradient")))
    assert terminal.render(twice, folder=tmp_path).count("12 | rate = 10") == 1
