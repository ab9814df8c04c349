"""NaN and infinity in the tensors that enter the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program


@dataclass(frozen=True)
class Slot:
    """A slot of the program with NaN or infinity in some passes."""

    slot: int
    call: Call
    """The first call that reads it."""
    is_target: bool
    share: float
    """Of all its numbers."""
    passes: int
    """Passes in which it held one."""
    first: int
    """The first of them, counted from 0."""
    broke: bool
    """Its loss, or the next one, was NaN or infinite too."""
    sound_before: bool
    """All losses before it were finite."""
    columns: tuple[int, ...]
    """Features (along the last axis) that hold them; empty where it has none or all do."""


@dataclass(frozen=True)
class Nonfinite:
    """All such slots of the main program."""

    program: Program
    slots: tuple[Slot, ...]
    passes: int

    @classmethod
    def read(cls, tape: Tape) -> Nonfinite:
        number = main_program(tape)
        program, task = tape.programs[number], Task.read(tape)
        passes = [p for p in tape.passes if p.program == number]
        counts = {key: _count(tape, key) for key in {k for p in passes for k in p.outside}}
        found = (_slot(tape, program, passes, slot, counts, task) for slot in range(program.slots))
        return cls(program, tuple(s for s in found if s is not None), len(passes))


def _count(tape: Tape, key: str) -> int:
    tensor = tape.tensors[key]
    return int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0


def _slot(
    tape: Tape, program: Program, passes: list[Pass], slot: int, counts: dict[str, int], task: Task
) -> Slot | None:
    held = [i for i, p in enumerate(passes) if counts[p.outside[slot]]]
    users = program.users(Outside(slot))
    if not held or not users:
        return None
    keys = dict.fromkeys(p.outside[slot] for p in passes)
    share = sum(counts[k] for k in keys) / max(1, sum(tape.tensors[k].numel() for k in keys))
    first, finite = held[0], [math.isfinite(p.loss) for p in passes]
    broke = not all(finite[first : first + 2])
    is_target = slot == task.target and users[0] is task.loss
    columns = _columns(tape, passes[first].outside[slot])
    return Slot(slot, users[0], is_target, share, len(held), first, broke, all(finite[:first]), columns)


def _columns(tape: Tape, key: str) -> tuple[int, ...]:
    tensor = tape.tensors[key]
    if tensor.dim() < 2:
        return ()
    bad = (~torch.isfinite(tensor)).reshape(-1, tensor.shape[-1]).any(0)
    return () if bool(bad.all()) else tuple(bad.nonzero().flatten().tolist()[:8])
