"""The person's arithmetic that made what enters a step: where it became constant, or so much larger or smaller."""

from __future__ import annotations

from unstuck.tape.found_lines import Prepared
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

FACTOR = 10.0
"""Times the size before from which on a call is what scaled the numbers."""


def flattened(tape: Tape) -> Site | None:
    """The call that made numbers of an input all the same; None where that was not seen."""
    found = (p.site for p in tape.facts.prepared if p.before[0] < p.before[1] and p.after[0] == p.after[1])
    return next(found, None)


def scaled(tape: Tape, program: int, slot: int) -> Site | None:
    """The last call that made the numbers of a slot larger or smaller by FACTOR, or moved them by as much."""
    return next((p.site for p in of(tape, program, slot) if _scales(p)), None)


def of(tape: Tape, program: int, slot: int) -> list[Prepared]:
    """The calls behind a slot, the last one first."""
    return [p for p in tape.facts.prepared if (p.program, p.slot) == (program, slot)]


def _scales(one: Prepared) -> bool:
    before, after = (max(map(abs, ends)) for ends in (one.before, one.after))
    return after >= FACTOR * before or before >= FACTOR * after
