"""What the patched script reports beside what the script did: the proof for faults that leave the training as it is.

A wrong number, a leak into the evaluation, graphs that are never freed: the losses are the same with and without them.
So the thing itself is compared, on the tapes of both runs: by the rule's own `verify`, else by the printed numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unstuck.diagnosis.experiment import Word
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.skill import LEAST, ROOM
from unstuck.rules.catalogue import catalogue
from unstuck.signals.printed import changes
from unstuck.signals.recomputed import corrected
from unstuck.tape.model import Tape


@dataclass(frozen=True)
class Difference:
    """A verdict on what is reported, and the sentence that gives the reason."""

    word: Word
    why: str


def recounted(before: Tape, after: Tape, fault: str, alike: bool = True) -> Difference | None:
    """What shows in the patched script's report that the fault is gone; None if nothing does.

    `alike`: both trained equally well. Otherwise better printed numbers are no evidence of a report that was wrong.
    """
    rule = catalogue().get(fault)
    look = rule.verify if rule is not None and rule.verify is not None else corrected
    if (why := _said(look, before, after)) is not None:
        return Difference("heals", why)
    return _better(before, after) if alike and look is corrected else None


def _said(look: Callable[[Tape, Tape], str | None], before: Tape, after: Tape) -> str | None:
    try:
        return look(before, after)
    except NotApplicable:
        return None


def _better(before: Tape, after: Tape) -> Difference | None:
    """A printed score is better, and none is worse."""
    try:
        compared = list(changes(before, after))
    except NotApplicable:
        return None
    best = max(compared, key=lambda c: (c.score and c.gain >= LEAST, c.gain), default=None)
    if best is None or best.gain < LEAST or min(c.gain for c in compared) <= -LEAST:
        return None
    return Difference("heals" if best.gain >= ROOM * best.room else "helps", str(best))
