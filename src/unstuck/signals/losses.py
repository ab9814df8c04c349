"""Every loss of the program, what it gets, and the calls between the network's last weights and it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from unstuck.signals.counted import counting
from unstuck.signals.task import Task, main_program
from unstuck.tape.abstract import Knowns
from unstuck.tape.model import Pass, Tape
from unstuck.tape.ops import LOSSES, SUBTRACTIONS
from unstuck.tape.program import Call, Outside, Program, Ref, Value
from unstuck.tape.task import meets_weights

SAMPLED = 40
"""Passes whose outputs and targets are read, spread over the whole run."""
MOST = 400_000
"""Numbers read in all."""


@dataclass(frozen=True)
class Ending:
    """One loss, the output that it gets, and the calls that made it."""

    loss: Call
    output: Value | None
    """The network's output (None if the loss gets none)."""
    target: Outside | None
    swapped: bool
    """The network's output stands where the target belongs."""
    tail: tuple[Call, ...]
    """The calls after the last weights and before the loss, in order."""
    layer: Call | None
    """The last call that reads weights before the tail."""

    @property
    def named(self) -> bool:
        """Whether it is a loss function of torch (else a difference written by hand)."""
        return self.loss.name in LOSSES

    @property
    def bent(self) -> tuple[Call, ...]:
        """The calls of the tail that change the values."""
        return tuple(c for c in self.tail if not c.op.hands_on)


@dataclass(frozen=True)
class Losses:
    """Every loss of the main program."""

    tape: Tape
    program: Program
    task: Task
    endings: tuple[Ending, ...]
    passes: tuple[Pass, ...] = field(repr=False)
    """A sample of the program's passes, in order."""

    @classmethod
    def read(cls, tape: Tape) -> Losses:
        number = main_program(tape)
        program = tape.programs[number]
        passes = [p for p in tape.passes if p.program == number]
        step = max(1, len(passes) // SAMPLED)
        return cls(tape, program, Task.read(tape), tuple(_endings(program)), tuple(passes[::step]))

    @cached_property
    def known(self) -> Knowns:
        """What is known of each value, whatever the batch and the weights hold."""
        return Knowns(self.program)

    def shape(self, ref: Ref | None) -> tuple[int, ...]:
        """A value's shape as recorded."""
        if isinstance(ref, Outside):
            return tuple(self.tape.tensors[self.passes[0].outside[ref.slot]].shape)
        maker = self.program.maker(ref) if ref is not None else None
        return maker.shape if maker is not None and maker.outs[0] == getattr(ref, "id", None) else ()

    def targets(self, ending: Ending) -> list[Tensor]:
        """The targets that an ending's loss got (a sample), as `Task.wanted` gives them."""
        if ending.target is None:
            return []
        if self.task.target != ending.target.slot:
            return _few(self._beside(ending, ending.target.slot))
        met = dict.fromkeys(tuple(p.outside[slot] for slot in self.task.slots) for p in self.passes)
        read = (dict(zip(self.task.slots, keys, strict=True)) for keys in met)
        return _few(self.task.wanted(lambda slot, keys=keys: self.tape.tensors[keys[slot]]) for keys in read)

    def _beside(self, ending: Ending, slot: int) -> Iterator[Tensor]:
        """The targets of another term of the loss; of a difference by hand those that a mask behind it lets through."""
        tensors, first = self.tape.tensors, self.passes[0].outside
        entering = tuple(tensors[k] for k in first)
        counts = None if ending.named else counting(self.tape, self.program, ending.loss, slot, entering)
        slots = (slot, *counts.slots) if counts is not None else (slot,)
        for keys in dict.fromkeys(tuple(p.outside[s] for s in slots) for p in self.passes):
            read = dict(zip(slots, keys, strict=True))
            target = tensors[read[slot]]
            counted = counts.of(lambda s, read=read: tensors[read[s]]) if counts is not None else None
            yield target if counted is None or counted.shape != target.shape else target[counted]

    def outputs(self, ending: Ending) -> list[Tensor]:
        """The outputs that an ending's loss got (a sample; none if they were not recorded)."""
        if ending.output is None or self.task.output != ending.output.id:
            return []
        return _few(self.tape.tensors[k] for k in dict.fromkeys(p.output for p in self.passes if p.output))


def flat(tensors: list[Tensor]) -> Tensor:
    """All finite numbers of some tensors, in float64."""
    parts = [t.double().flatten() for t in tensors]
    numbers = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64)
    return numbers[torch.isfinite(numbers)]


def tail_of(program: Program, ref: Ref | None) -> tuple[tuple[Call, ...], Call | None]:
    """The calls of one value each that made a value, back to the last call that reads weights, and that call."""
    found: list[Call] = []
    for _, call in program.back(ref):
        if call.weights():
            return tuple(reversed(found)), call
        found.append(call)
        if len({r for r in call.refs() if isinstance(r, Value)}) != 1:
            break
    return tuple(reversed(found)), None


def _few(tensors: Iterable[Tensor]) -> list[Tensor]:
    found, size = [], 0
    for tensor in tensors:
        found.append(tensor)
        size += found[-1].numel()
        if size > MOST:
            break
    return found


def _endings(program: Program) -> Iterator[Ending]:
    for call in program.calls:
        if call.name in LOSSES:
            yield _ending(program, call, call.argument(0, "input"), call.argument(1, "target"))
        elif call.name in SUBTRACTIONS and len(call.refs()) == 2 and not meets_weights(program, call):
            one, other = call.refs()
            if isinstance(other, Value) and isinstance(one, Outside):
                one, other = other, one
            if isinstance(one, Value) and isinstance(other, Outside):
                yield _ending(program, call, one, other)


def _ending(program: Program, call: Call, first: object, second: object) -> Ending:
    swapped = isinstance(first, Outside) and isinstance(second, Value)
    output, target = (second, first) if swapped else (first, second)
    ref = output if isinstance(output, Value) else None
    tail, layer = tail_of(program, ref)
    return Ending(call, ref, target if isinstance(target, Outside) else None, swapped, tail, layer)
