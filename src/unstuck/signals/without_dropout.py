"""What the trained network can do when nothing is dropped: its last weights, the last batches, dropout left out."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.learning import Learning
from unstuck.signals.task import main_program
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Program

BATCHES = 30
"""The last ones of the tape."""


@dataclass(frozen=True)
class WithoutDropout:
    """The dropout calls of the main program, and the skill without them."""

    program: Program
    drops: tuple[Call, ...]
    skill: float

    @classmethod
    def read(cls, tape: Tape) -> WithoutDropout:
        number = main_program(tape)
        program = tape.programs[number]
        drops = tuple(c for c in program.calls if is_dropout(c))
        if not drops:
            raise NotApplicable("the recorded main step drops nothing")
        if any(f"f:{name}" not in tape.tensors for name in program.weights()):
            raise NotApplicable("the last weights are not known")
        passes = [p for p in tape.passes if p.program == number][-BATCHES:]
        return cls(program, drops, _skill(tape, without_dropout(program), passes))


def is_dropout(call: Call) -> bool:
    """Whether a call drops, as it was recorded."""
    return call.op.kind == "dropout" and call.argument(2, "training", True) is True and rate(call) > 0


def rate(call: Call) -> float:
    """The share that a call drops."""
    p = call.argument(1, "p", 0.5)
    return float(p) if isinstance(p, int | float) else 0.0


def without_dropout(program: Program) -> Program:
    """The program with every dropout switched off."""

    def off(call: Call) -> Call:
        if not is_dropout(call):
            return call
        if len(call.args) > 1:
            return msgspec.structs.replace(call, args=(call.args[0], 0.0, *call.args[2:]))
        return msgspec.structs.replace(call, kwargs={**call.kwargs, "p": 0.0})

    return msgspec.structs.replace(program, calls=tuple(off(c) for c in program.calls))


def _skill(tape: Tape, program: Program, passes: list[Pass]) -> float:
    learning = Learning.read(tape)
    task, yard = learning.task, learning.yardstick
    if task.output is None or task.target is None:
        raise NotApplicable("the task is not known")
    weights = {name: tape.tensors[f"f:{name}"] for name in program.weights()}
    rows = []
    try:
        for p in passes:
            outside = tuple(tape.tensors[key] for key in p.outside)
            with torch.no_grad():
                value = run(program, weights, outside, {})[task.output]
            rows.append(yard.rows(task, value.unsqueeze(0), task.wanted(outside.__getitem__))[0])
    except (CannotReplay, RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
        raise NotApplicable(f"its step cannot be run again ({type(error).__name__})") from error
    return float(yard.skill(yard.score(torch.stack(rows).sum(0))))
