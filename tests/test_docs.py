"""The generated pages say what the rules say."""

import runpy
from pathlib import Path

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
