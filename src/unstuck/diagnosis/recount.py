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

ALONE = {"eval-leak", "loss-keeps-graph"}
"""Faults whose removal makes no printed score better: without a leak it falls, and freed graphs change none."""


@dataclass(frozen=True)
class Difference:
    """A verdict on what is reported, and the sentence that gives the reason."""

    word: Word
    why: str


def recounted(before: Tape, after: Tape, faults: tuple[str, ...], alike: bool = True) -> Difference | None:
    """What is better in what the patched script reports; None if nothing of the kind can be shown.

    `alike`: both trained equally well. Otherwise better printed numbers are no evidence of a report that was wrong.
    """
    rules = catalogue()
    looks = [look for f in faults if f in rules and (look := rules[f].verify) is not None]
    for look in (*looks, *(() if ALONE & set(faults) else (corrected,))):
        if (why := _said(look, before, after)) is not None:
            return Difference("heals", why)
    return _better(before, after) if alike and not ALONE & set(faults) else None


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
