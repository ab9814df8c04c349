"""Compare a text with a file that was read and found right."""

from __future__ import annotations

import os
from pathlib import Path

GOLDEN = Path(__file__).parent / "golden"


def same_as_golden(name: str, text: str) -> None:
    """Compare with the file of that name; UNSTUCK_GOLDEN=1 writes it anew."""
    if os.environ.get("UNSTUCK_GOLDEN"):
        (GOLDEN / name).write_text(text, encoding="utf-8")
    assert text == (GOLDEN / name).read_text(encoding="utf-8")
