"""The network's inputs: every tensor that enters by a layer with weights, its statistics, and that layer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, Ref, Value

ROWS, NUMBERS = 20_000, 1_500_000
"""Rows of an input that are read at most, and numbers in them: statistics do not get better with more."""


@dataclass(frozen=True)
class Input:
    """One input: its slot, the call it enters by, and what it holds over the recorded passes."""

    slot: int
    call: Call
    axis: int
    normalised: bool
    """A normalising layer comes first (or right after the first linear call)."""
    rows: Tensor
    """(rows, features) in float64, finite rows only; a sample where there are many."""
    share_nonfinite: float
    shape: tuple[int, ...]
    raw: tuple[Tensor, ...]
    """Some of the recorded batches."""

    @property
    def bordered(self) -> bool:
        """It enters by a convolution that puts zeros around it; an offset is an edge there, normalised later or not."""
        padding = self.call.argument(4, "padding", 0) if self.call.name.startswith("conv") else 0
        if isinstance(padding, str):
            return padding != "valid"
        return any(padding) if isinstance(padding, tuple | list) else bool(padding)

    @cached_property
    def mean(self) -> Tensor:
        """(features,)"""
        return self.rows.mean(0)

    @cached_property
    def std(self) -> Tensor:
        """(features,)"""
        return self.rows.std(0, correction=0)

    @cached_property
    def live(self) -> Tensor:
        """(features,) which features vary at all."""
        return self.std > 1e-12 * (self.rows.abs().amax(0) + 1e-300)


@dataclass(frozen=True)
class Inputs:
    """All inputs of the main program."""

    program: Program
    inputs: tuple[Input, ...]

    @classmethod
    def read(cls, tape: Tape) -> Inputs:
        number = main_program(tape)
        program = tape.programs[number]
        passes = [p for p in tape.passes if p.program == number]
        found = []
        for slot in range(program.slots):
            call = _enters(program, slot)
            if call is None:
                continue
            tensors = _distinct(tape, [p.outside[slot] for p in passes])
            if tensors and tensors[0].is_floating_point() and _moves(tensors):
                found.append(_input(program, slot, call, tensors))
        if not found:
            raise NotApplicable("no floating-point batch was found to enter a layer with weights")
        return cls(program, tuple(found))


def _moves(tensors: list[Tensor]) -> bool:
    """A slot that only ever holds zeros of one shape is a first hidden state, not an input."""
    return len(tensors) > 1 or bool(tensors[0].any()) or tensors[0].numel() > 4096


def _enters(program: Program, slot: int) -> Call | None:
    """The call by which a slot meets weights or a norm, by itself or beside what is computed from weights."""
    users = program.users(Outside(slot))
    alone = next((c for c in users if _is_entry(c) and Outside(slot) in _multiplied(c)), None)
    return alone or next((c for c in users if c.op.kind == "joining" and _is_entry(_behind(program, c))), None)


def _multiplied(call: Call) -> tuple[Ref, ...]:
    """What a call makes its result of: of a norm, not its running statistics."""
    return call.refs()[: 1 if call.op.kind == "norm" else 2]


def _is_entry(call: Call | None) -> bool:
    if call is None:
        return False
    return call.op.kind == "norm" or bool(call.weights() and call.op.features)


def _behind(program: Program, joined: Call) -> Call | None:
    """What reads what a call joins, through calls that leave the numbers as they are."""
    users = program.users(Value(joined.outs[0]))
    while users and (users[0].op.hands_on or users[0].op.kind == "joining"):
        users = program.users(Value(users[0].outs[0]))
    return users[0] if users else None


def _distinct(tape: Tape, keys: list[str]) -> list[Tensor]:
    found, rows, numbers = [], 0, 0
    for key in dict.fromkeys(keys):
        found.append(tape.tensors[key])
        rows += len(found[-1]) if found[-1].dim() else 1
        numbers += found[-1].numel()
        if rows > ROWS or numbers > NUMBERS:
            break
    return found


def _input(program: Program, slot: int, call: Call, tensors: list[Tensor]) -> Input:
    meets = _behind(program, call) if call.op.kind == "joining" else call
    axis = (meets.op.features if meets else 0) or (1 - tensors[0].dim() if tensors[0].dim() > 1 else -1)
    flat = torch.cat([_by_feature(t, axis) for t in tensors])
    flat = flat[: max(1, 2 * NUMBERS // flat.shape[1])]
    finite = torch.isfinite(flat)
    good = flat[finite.all(1)]
    share = 1 - float(finite.double().mean()) if flat.numel() else 0.0
    good = good if len(good) else torch.nan_to_num(flat, nan=0.0, posinf=0.0, neginf=0.0)
    return Input(
        slot, call, axis, _normalised(program, call), good, share, tuple(tensors[0].shape), tuple(tensors[:50])
    )


def _by_feature(tensor: Tensor, axis: int) -> Tensor:
    """(rows, features); an axis the tensor does not have means one feature."""
    if tensor.dim() < -axis:
        return tensor.double().reshape(-1, 1)
    return tensor.double().movedim(axis, -1).reshape(-1, tensor.shape[axis])


def _normalised(program: Program, call: Call) -> bool:
    if call.op.kind == "norm":
        return True
    meets = _behind(program, call)
    return meets is not None and (
        meets.op.kind == "norm" or (call.op.kind == "joining" and _normalised(program, meets))
    )
