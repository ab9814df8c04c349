"""Convict: try the remedies of the suspects by replay, and name the smallest set that mends the run.

Upstream faults come first: where the inputs' units and the learning rate would each mend a run alone, the units are the
cause, for the rate was right for what the person thought the inputs were.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Protocol

from unstuck.diagnosis.comparison import (
    CLOSE,
    WORTH,
    Comparison,
    Conviction,
    Say,
    compare,
    convicts,
    harms,
    mechanical,
    rank,
    suspects,
    whole,
)
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.verdict import STUCK
from unstuck.diagnosis.widening import ENOUGH, widened
from unstuck.replay.bench import BEGINNING, Bench

SCREEN = BEGINNING
"""The part of the course on which suspects are screened."""
SLOW = 3
"""Suspects that get the whole tape although the screening showed nothing."""
MOST = 14
"""Remedies tried alone; further ones wait."""


class Ahead(Protocol):
    """The patched script of a promising experiment, begun while the replay is still at work."""

    def begin(self, comparison: Comparison) -> None:
        """Begin to run it; it will probably be asked for."""

    def settles(self, comparison: Comparison) -> bool:
        """Whether it learns so well that nothing further downstream needs to be tried. Waits for its end."""

    def outdoes(self, comparison: Comparison) -> bool:
        """Whether it settles, and the recorded run had come nowhere near by its own end. Waits for its end."""


def convict(
    bench: Bench,
    findings: Sequence[Finding],
    say: Say = lambda _: None,
    before: Conviction | None = None,
    ahead: Ahead | None = None,
) -> Conviction:
    """Screen each suspect on the first part of the tape, play the best to its end, combine where that is not enough.

    The first that convicts stands furthest upstream: where its patched script learns well too, it is the cause.
    `before` holds earlier experiments on the same bench: they are not made again.
    """
    done = before or Conviction()
    if bench.why or _unjudgeable(bench):
        return done
    known, asked = {c.remedies for c in done.tried}, before is not None or ahead is None
    for remedy, faults in suspects(findings)[:MOST]:
        if (remedy,) in known:
            continue
        say(f"trying: {remedy.summary()}")
        done.tried.append(screened := compare(bench, (remedy,), faults, SCREEN))
        if convicts(screened) and screened.skill >= ENOUGH:
            if ahead is not None:
                ahead.begin(screened)
            break  # nothing further downstream could take its place
        if ahead is not None and not asked and _promises(screened):
            asked = True
            if (settled := _settled(bench, screened, ahead, say)) is not None:
                done.tried[-1] = done.chosen = settled
                return done
    done.chosen = widened(bench, _finalist(bench, done, say, ahead), done, say)
    return done


def _promises(screened: Comparison) -> bool:
    """It may well be the cause: it convicts already, or would if its lanes agreed a little better."""
    return convicts(screened) or (screened.judgement is not None and screened.judgement.gain >= WORTH)


def _settled(bench: Bench, screened: Comparison, ahead: Ahead, say: Say) -> Comparison | None:
    """The experiment over the whole course, where it convicts there too and the patched script agrees."""
    ahead.begin(screened)
    say("over the whole tape: " + ", ".join(r.summary() for r in screened.remedies))
    full = compare(bench, screened.remedies, screened.faults)
    return full if convicts(full) and ahead.settles(full) else None


def _unjudgeable(bench: Bench) -> bool:
    """A loss without a known task (a policy's) that falls says nothing about better or worse.

    Nor does that of one of two players, whichever way it goes.
    """
    if bench.task.kind != "unknown":
        return False
    players = {update.optimizer for update in bench.tape.updates}
    return len(players) > 1 or float(bench.written.skill().median()) > STUCK


def _finalist(bench: Bench, done: Conviction, say: Say, ahead: Ahead | None) -> Comparison | None:
    """The best of the screened, once it has held over the whole tape; where none has shown, the slow ones' chance.

    What heals within the screening is not played further where the patched script, run to its own end, agrees.
    """
    working = [c for c in done.tried if convicts(c)]
    if not working:
        slow = [c for c in done.tried if c.played is not None and c.share < 1.0 and not harms(c)]
        if slow and ahead is not None:
            ahead.begin(slow[0])
        working = list(islice((full for c in slow[:SLOW] if convicts(full := whole(bench, done, c, say))), 1))
    while (best := _best(working)) is not None:
        if best.share == 1.0 or (ahead is not None and best.skill >= ENOUGH and ahead.outdoes(best)):
            return best
        full = whole(bench, done, best, say)
        working = [c for c in working if c is not best] + ([full] if convicts(full) else [])
    return None


def _best(working: list[Comparison]) -> Comparison | None:
    working = [c for c in working if mechanical(c)] or working
    if not working:
        return None
    top = max(c.skill for c in working)
    close = [c for c in working if c.skill >= top - CLOSE * max(1.0, top)]
    return min(close, key=lambda c: (min(rank(f) for f in c.faults), -c.skill))
