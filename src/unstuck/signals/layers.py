"""Signal propagation: one table of the step's layers and activations, in order.

Each row holds a call with its line, the values it gives, and its weight matrices with their gradients, at the start and
at the end of the run. Rules about dead, saturated or badly initialised layers and vanishing gradients read this table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.activations import Values, measured
from unstuck.signals.gradients import Gradients
from unstuck.signals.task import Task, main_program
from unstuck.signals.weights import Matrix, matrices
from unstuck.tape.model import Tape
from unstuck.tape.ops import ACTIVATIONS, RECTIFIERS
from unstuck.tape.program import Call, Program, Value

BENDS = ACTIVATIONS | RECTIFIERS
BECOMES = ("mul", "clamp", "log")
"""Calls that may stand between the output's activation and the loss, besides those that hand its values on."""


@dataclass(frozen=True)
class Layer:
    """One row: an activation, or a call with trained weight matrices."""

    call: Call
    """Its `site` is the line."""
    matrices: tuple[Matrix, ...]
    start: Values
    end: Values

    def worst(self, share: str) -> tuple[float, str]:
        """The larger of a share at the start and at the end of the run, and when it is reached."""
        return max((getattr(values, share), when) for when, values in (("start", self.start), ("end", self.end)))


@dataclass(frozen=True)
class Layers:
    """The table for the main program; the parts of it that cannot be measured raise NotApplicable when asked for."""

    program: Program
    weights: tuple[Matrix, ...]
    """The trained weight matrices of all layers, in order."""
    table: tuple[Layer, ...]
    output: Call | None
    """The activation whose values are the network's output."""
    unknown: str
    """Why the table is empty ("" if it is not)."""
    task: Task

    @property
    def rows(self) -> tuple[Layer, ...]:
        """The table; NotApplicable if the step cannot be run again."""
        if self.unknown:
            raise NotApplicable(self.unknown)
        return self.table

    @property
    def matrices(self) -> tuple[Matrix, ...]:
        """The weight matrices; NotApplicable if there is none."""
        if not self.weights:
            raise NotApplicable("the recorded main step trains no weight matrix")
        return self.weights

    @property
    def taught(self) -> tuple[Matrix, ...]:
        """The weight matrices whose gradient was sampled; NotApplicable if none was."""
        found = tuple(m for m in self.matrices if math.isfinite(m.gradient[0]))
        if not found:
            raise NotApplicable("no gradient was sampled")
        return found

    @classmethod
    def read(cls, tape: Tape) -> Layers:
        number = main_program(tape)
        program, task = tape.programs[number], Task.read(tape)
        weights = matrices(tape, program, _gradients(tape))
        layers = [m.call for m in weights]
        calls = [c for c in program.calls if c.outs and (c.name in BENDS or any(c is x for x in layers))]
        try:
            values, unknown = measured(tape, number, calls), ""
        except NotApplicable as reason:
            values, unknown = [], str(reason)
        rows = zip(calls, values, strict=False)
        table = [Layer(call, tuple(m for m in weights if m.call is call), *both) for call, both in rows]
        return cls(program, weights, tuple(table), _output(program, task), unknown, task)


def _gradients(tape: Tape) -> Gradients | None:
    try:
        return Gradients.read(tape)
    except NotApplicable:
        return None


def _output(program: Program, task: Task) -> Call | None:
    for _, call in program.back(None if task.output is None else Value(task.output)):
        if call.op.kind == "activation":
            return call
        if not (call.op.hands_on or call.name in BECOMES):
            break
    return None
