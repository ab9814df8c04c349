"""Whether the steps put their targets into an order of rows that the predictions do not have."""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

MOST = 0.9
"""Share of the steps from which on it is no disturbance now and then (labels that are swapped at times, as noise)."""


@dataclass(frozen=True)
class Reordered:
    """The target of the main program in an order of its own."""

    share: float
    """Of the program's recorded steps."""
    site: Site | None
    """Where it is put into that order."""
    other: Site | None = None
    """Where inputs get another one, where both are mixed with the rows as they come."""

    @classmethod
    def read(cls, tape: Tape) -> Reordered:
        number, task = main_program(tape), Task.read(tape)
        found = next((o for o in tape.facts.row_orders if (o.program, o.slot) == (number, task.target)), None)
        steps = sum(p.program == number for p in tape.passes)
        if found is None or found.passes < MOST * steps:
            raise NotApplicable("no step puts its targets alone into another order")
        return cls(found.passes / steps, found.site, found.other)
