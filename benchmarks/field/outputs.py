"""The stdout of a program under the tool against that of the program alone."""

from __future__ import annotations

import re

NUMBER = r"[-+]?\d+\.?\d*(?:e[-+]?\d+)?"

WORDS = ("equal", "equal but for numbers", "differs")


def compared(plain: str, under: str, cut: bool, varies: str = "") -> str:
    """One of WORDS; of a run that was cut, for what it printed until then."""
    a, b = _masked(plain, varies), _masked(under, varies)
    if _same(a, b, cut):
        return WORDS[0]
    return WORDS[1] if _same(_masked(a, NUMBER), _masked(b, NUMBER), cut) else WORDS[2]


def _masked(text: str, pattern: str) -> str:
    return re.sub(pattern, "#", text) if pattern else text


def _same(plain: str, under: str, cut: bool) -> bool:
    return plain.startswith(under) if cut else plain == under
