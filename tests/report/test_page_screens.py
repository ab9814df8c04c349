"""The page looks as it did: screenshots of headless Chromium beside stored ones, coarsely, since fonts differ.

`UNSTUCK_GOLDEN=1 python -m pytest -m net tests/report/test_page_screens.py` stores them anew: look at the difference.
Long: `make net` runs it, where a Chromium is installed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.report.browser import ABSENT, CHROMIUM, FONT, font, framed, opened
from tests.report.test_page_layout import looks
from tests.sample_reports import HEALTHY, SICK, SUSPECTED
from unstuck.diagnosis.model import Diagnosis
from unstuck.report.html.page import render

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(CHROMIUM is None, reason=ABSENT),
    pytest.mark.skipif(font() != FONT, reason=f"the screenshots were taken with {FONT}"),
]
GOLDEN = Path(__file__).parent / "golden" / "screens"
SMALLER = 4
BLOCK = 10
"""Pixels along a side of the blocks that are compared by their mean grey: larger than a letter, smaller than a
figure."""
APART, FAR = 10.0, 0.06
"""Grey levels of 255 by which a block is another, and the share of such blocks from which on the page is another."""
PAGES = {"sick": (SICK, True), "suspected": (SUSPECTED, False), "healthy": (HEALTHY, False)}


def photographed(diagnosis: Diagnosis, whole: bool, width: int, height: int, folder: Path) -> Any:
    """The first `height` pixels of a page, in grey, at a quarter of its size."""
    image = pytest.importorskip("PIL.Image")
    page = render(diagnosis, looks() if whole else None, target="train.py")
    sight = (f"--window-size={max(width, 500)},{height}", f"--screenshot={folder}/screen.png")
    opened(framed(page, width, height), folder, *sight)
    return image.open(folder / "screen.png").convert("L").crop((0, 0, width, height)).reduce(SMALLER)


def differing(one: Any, other: Any) -> float:
    """The share of blocks in which two pictures of one size differ."""
    size = (one.size[0] // BLOCK, one.size[1] // BLOCK)
    blocks = (picture.resize(size, resample=4).tobytes() for picture in (one, other))  # 4: the mean over a box
    apart = [abs(a - b) > APART for a, b in zip(*blocks, strict=True)]
    return sum(apart) / len(apart)


@pytest.mark.parametrize(("width", "height"), [(1400, 6000), (400, 6000)])
@pytest.mark.parametrize("name", PAGES)
def test_the_page_looks_as_it_did(name: str, width: int, height: int, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    diagnosis, whole = PAGES[name]
    seen = photographed(diagnosis, whole, width, height if whole else 1600, tmp_path)
    stored = GOLDEN / f"{name}-{width}.png"
    if os.environ.get("UNSTUCK_GOLDEN"):
        GOLDEN.mkdir(parents=True, exist_ok=True)
        seen.quantize(8).save(stored, optimize=True)
    golden = image.open(stored).convert("L")
    assert seen.size == golden.size
    assert differing(seen, golden) < FAR


def test_another_page_is_told_apart(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    seen = photographed(SUSPECTED, False, 1400, 1600, tmp_path)
    assert differing(seen, image.open(GOLDEN / "healthy-1400.png").convert("L")) > FAR
