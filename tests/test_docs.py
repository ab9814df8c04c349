"""The generated pages say what the rules say."""

import runpy
from pathlib import Path

PAGES = Path(__file__).resolve().parents[1] / "docs" / "pages.py"


def test_the_fault_pages_are_up_to_date() -> None:
    assert runpy.run_path(str(PAGES))["differing"]() == [], "run: python docs/pages.py"
