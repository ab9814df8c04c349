"""A headless Chromium for pages: a frame of any width in it, since its windows are 500 pixels wide at least."""

from __future__ import annotations

import shutil
import subprocess
from html import escape
from pathlib import Path

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ABSENT = "no Chromium is installed"
FONT = "DejaVu Sans"
"""The font of the stored screenshots; lines break elsewhere in another."""
WORDS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def framed(page: str, width: int, height: int) -> str:
    """A document that holds a page in a frame of that size at its upper left."""
    frame = f'<iframe srcdoc="{escape(page)}" style="border: 0; width: {width}px; height: {height}px"></iframe>'
    return f'<!doctype html><body style="margin: 0">{frame}<pre id=measured></pre>'


def opened(document: str, folder: Path, *words: str) -> str:
    """What the browser prints when it opens a document."""
    (folder / "page.html").write_text(document, encoding="utf-8")
    command = [str(CHROMIUM), *WORDS, f"--user-data-dir={folder}/profile", *words, (folder / "page.html").as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=200, check=True).stdout


def font() -> str:
    """The font that stands for the page's; "" where that cannot be asked."""
    asked = shutil.which("fc-match")
    words = [asked, "--format=%{family}", "system-ui"] if asked else None
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout if words else ""
