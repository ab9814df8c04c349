"""What is read of a tape more than once, by rules and by experiments, and costs a look at all of its steps."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import TypeVar

from unstuck.tape.model import Tape

Thing = TypeVar("Thing")
_KEPT: dict[int, dict[Hashable, object]] = {}
"""By a tape's identity; forgotten with the tape."""


def remembered(tape: Tape, key: Hashable, make: Callable[[], Thing]) -> Thing:
    """What `make` gives, made once for a tape and the steps that it holds."""
    if id(tape) not in _KEPT:
        _KEPT[id(tape)] = {}
        weakref.finalize(tape, _KEPT.pop, id(tape), None)
    kept, whole = _KEPT[id(tape)], (key, len(tape.passes), len(tape.late))
    if whole not in kept:
        kept[whole] = make()
    return kept[whole]  # type: ignore[return-value]
