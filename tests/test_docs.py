"""The generated pages say what the rules say, and the README what the program says."""

import runpy
from pathlib import Path

from tests.sample_reports import RICE
from unstuck.report import terminal

PAGES = Path(__file__).resolve().parents[1] / "docs" / "pages.py"


def test_the_fault_pages_are_up_to_date() -> None:
    assert runpy.run_path(str(PAGES))["differing"]() == [], "run: python docs/pages.py"


def test_the_readme_shows_what_the_program_says() -> None:
    screen = runpy.run_path(str(PAGES.with_name("first_screen.py")))
    assert screen["alike"](screen["shown"](), screen["said"]()), "run: python docs/first_screen.py"


def test_a_changed_word_or_number_would_be_seen() -> None:
    alike = runpy.run_path(str(PAGES.with_name("first_screen.py")))["alike"]
    assert alike("accuracy 0.99 of 840", "accuracy 0.98 of 840")
    assert not alike("accuracy 0.99 of 840", "accuracy 0.55 of 840")
    assert not alike("it learns", "it does not learn")


def test_the_readme_shows_causes_and_what_was_tried_without_the_diff() -> None:
    head = runpy.run_path(str(PAGES.with_name("first_screen.py")))["head"](terminal.render(RICE))
    assert head.startswith("train.py does not learn")
    assert "metric-error" in head and "\n\nWhat was tried\n" in head
    assert not any(words in head for words in ("--- a/train.py", "Patch (", "Next", "unstuck explain"))
