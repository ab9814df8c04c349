"""The first recorded steps of the main program that have the same shapes and other contents."""

from __future__ import annotations

import torch

from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import main_program


def different_batches(recorded: Recorded, most: int) -> list[Step]:
    """At most `most` steps at the first weights; a whole table at each step is one batch. Raises CannotReplay."""
    number = main_program(recorded.tape)
    met: list[Step] = []
    for at, p in enumerate(recorded.tape.passes):
        step = recorded.step(at) if p.program == number and len(met) < most else None
        if step is not None and _new(step, met) and (not met or _shapes(step) == _shapes(met[0])):
            met.append(step)
    return met


def _shapes(step: Step) -> tuple[torch.Size, ...]:
    return tuple(t.shape for t in step.outside)


def _new(step: Step, met: list[Step]) -> bool:
    """Whether every batch before holds other numbers."""
    return all(any(not torch.equal(a, b) for a, b in zip(step.outside, old.outside, strict=False)) for old in met)
