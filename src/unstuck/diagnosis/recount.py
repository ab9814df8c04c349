"""What the patched script reports beside what the script did: the proof for faults that leave the training as it is.

A wrong number, a leak into the evaluation, graphs that are never let go of: the losses are the same with and without
them. So what is compared is the thing itself, on the tapes of both runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from unstuck.diagnosis.experiment import Word
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.skill import LEAST, ROOM
from unstuck.rules.catalogue import catalogue
from unstuck.signals.overlap import Overlap
from unstuck.signals.printed import Number, Printed
from unstuck.signals.recomputed import WRONG, Recomputed, Recounted
from unstuck.tape.model import Tape

RIGHT = 0.02
"""A printed accuracy this near to the count is right: batches of unequal sizes may have been averaged."""
LEAKED, APART = 0.05, 0.01
"""Shares of an evaluation's rows that were trained on: a leak, and none."""
HELD, FREED = 4, 2
"""Graphs of past steps alive at once: kept for longer than a step, and what a healthy loop has."""


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
    for look in looks:
        if (why := _said(look, before, after)) is not None:
            return Difference("heals", why)
    for fault, look in (("eval-leak", _apart), ("loss-keeps-graph", _freed)):
        if fault in faults:
            return _seen(look, before, after)
    return _seen(_right, before, after) or (_seen(_better, before, after) if alike else None)


def _said(look: Callable[[Tape, Tape], str | None], before: Tape, after: Tape) -> str | None:
    try:
        return look(before, after)
    except NotApplicable:
        return None


def _seen(look: Callable[[Tape, Tape], Difference | None], before: Tape, after: Tape) -> Difference | None:
    try:
        return look(before, after)
    except NotApplicable:
        return None


def _apart(before: Tape, after: Tape) -> Difference | None:
    """The evaluation's rows were trained on, and are not any more."""
    try:
        old, new = _shared(before), _shared(after)
    except NotApplicable:
        return _modest(before, after)
    if old < LEAKED:
        return _modest(before, after)
    if new > APART:
        return None
    changes = list(_changed(before, after))
    told = max(changes, key=lambda c: (c.score, abs(c.gain)), default=None)
    why = f"of the rows it is judged by {old:.0%} had been trained on before, {new:.0%} after"
    return Difference("heals", why + (f"; {told.words} {told.old:g} before, {told.new:g} after" if told else ""))


def _modest(before: Tape, after: Tape) -> Difference | None:
    """No row stands on both sides: what leaked was what to look at, and the printed score is lower without it."""
    scores = [c for c in _changed(before, after) if c.score]
    fallen = min(scores, key=lambda c: c.gain, default=None)
    if fallen is None or fallen.gain > -LEAST or max(c.gain for c in scores) >= LEAST:
        return None
    said = f"it printed {fallen.words} {fallen.old:g}, which the evaluation's own labels had a part in"
    return Difference("heals", f"{said}; the patched script prints {fallen.new:g}")


def _shared(tape: Tape) -> float:
    sets = Overlap.read(tape)
    return sets.shared()[0] / len(sets.judged)


def _freed(before: Tape, after: Tape) -> Difference | None:
    """Graphs of past steps were kept, and are let go of now."""
    old, new = before.facts.get("graphs", [0, 0]), after.facts.get("graphs", [0, 0])
    if old[0] < HELD or new[0] > FREED or not new[1]:
        return None
    return Difference("heals", f"graphs of past steps alive at once: {old[0]} of {old[1]} before, {new[0]} after")


def _right(before: Tape, after: Tape) -> Difference | None:
    """The accuracy that is printed was not the one that can be counted, and now it is."""
    old, new = _last(before), _last(after)
    for form in old.keys() & new.keys():
        was, now = old[form], new[form]
        if was.off > WRONG and now.off <= RIGHT:
            why = f"it printed accuracy {was.number.value:g}, and we count {was.counted:.3f} on those {was.rows} rows; "
            why += f"the patched script prints {now.number.value:g}, and we count {now.counted:.3f}"
            return Difference("heals", why)
    return None


def _last(tape: Tape) -> dict[str, Recounted]:
    return {r.line.form: r for r in Recomputed.read(tape).all}


@dataclass(frozen=True)
class _Change:
    """One number of a line that both scripts print."""

    words: str
    old: float
    new: float
    gain: float
    """What the patch gains: of a share its rise, of a loss the part that is gone."""
    room: float
    """The gain that would lead to perfection."""
    score: bool
    """More is better."""


def _better(before: Tape, after: Tape) -> Difference | None:
    """A score that is printed is better, and none is worse."""
    changes = list(_changed(before, after))
    best = max(changes, key=lambda c: (c.score and c.gain >= LEAST, c.gain), default=None)
    if best is None or best.gain < LEAST or min(c.gain for c in changes) <= -LEAST:
        return None
    word: Word = "heals" if best.gain >= ROOM * best.room else "helps"
    return Difference(word, f"it printed {best.words} {best.old:g}; the patched script prints {best.new:g}")


def _changed(before: Tape, after: Tape) -> Iterator[_Change]:
    """Of each line that both print last in the same form, the numbers whose words say what is better."""
    old, new = Printed.read(before).last(), Printed.read(after).last()
    for form in old:
        pairs = zip(old[form].numbers, new[form].numbers, strict=True) if form in new else ()
        yield from (change for was, now in pairs if (change := _change(was, now)) is not None)


def _change(was: Number, now: Number) -> _Change | None:
    words = " ".join(was.words)
    if was.better > 0 and max(abs(was.value), abs(now.value)) <= 100:
        hundred = 100 if max(abs(was.value), abs(now.value)) > 1 else 1
        old, new = was.value / hundred, now.value / hundred
        return _Change(words, was.value, now.value, new - old, 1 - old, True)
    if was.better < 0 and was.value > 0 and now.value >= 0:
        return _Change(words, was.value, now.value, (was.value - now.value) / was.value, 1.0, False)
    return None
