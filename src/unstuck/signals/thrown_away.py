"""Gradients that a backward made and nobody used: cleared before the next backward of the same step."""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.reachability import taught_by
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Tape

FEWEST = 16
"""Backwards, at least."""


@dataclass(frozen=True)
class ThrownAway:
    """Of the backwards on batches of their own, those whose gradients were cleared before any step."""

    backwards: int
    lost: int
    steps: int

    @property
    def share(self) -> float:
        """Of the backwards."""
        return self.lost / self.backwards

    @classmethod
    def read(cls, tape: Tape) -> ThrownAway:
        """NotApplicable where several optimizers step, or one evaluates its closure several times.

        A backward on the same targets as the one before (an adversarial input, a second look at one batch) is counted
        as no batch of its own.
        """
        if len({u.optimizer for u in tape.updates}) != 1 or any(u.closure for u in tape.updates):
            raise NotApplicable("not one optimizer that steps after its backward passes")
        number, task = main_program(tape), Task.read(tape)
        own = {p.name for p in tape.parameters if p.optimizer >= 0} & taught_by(tape.programs[number])
        stepped = {u.after for u in tape.updates}
        if len(tape.passes) < FEWEST or not own or task.target is None:
            raise NotApplicable("too few backward passes of one program were recorded")
        lost = sum(_lost(tape, n, number, task.target, own) for n in range(1, len(tape.passes)) if n not in stepped)
        return cls(len(tape.passes), lost, len(stepped))


def _lost(tape: Tape, n: int, number: int, target: int, own: set[str]) -> bool:
    """Whether a backward, with no step before it, finds the gradients of the one before cleared."""
    before, now = tape.passes[n - 1], tape.passes[n]
    same = before.program == now.program == number and not before.error and not before.handed
    return same and before.outside[target] != now.outside[target] and not own & set(now.stale)
