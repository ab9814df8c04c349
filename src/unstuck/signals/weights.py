"""The weights as they were before the first step, against the number of connections that each unit has."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Tape
from unstuck.tape.ops import RECURRENT, names
from unstuck.tape.program import Call, Outside, Program, Value, Weight

PRODUCTS = names(lambda op: op.kind == "product")
"""Calls in which a weight stands on the right, inputs down and outputs across."""
LAYERS = RECURRENT | PRODUCTS | {"linear", "conv1d", "conv2d", "conv3d"}
"""Calls in which a matrix of weights meets what comes in; embeddings and normalisations are none of them."""


@dataclass(frozen=True)
class Matrix:
    """One weight matrix (or kernel) of a layer, as drawn."""

    name: str
    call: Call
    fan_in: int
    units: int
    start: Tensor
    hidden: bool
    """A further layer reads what it makes."""

    @property
    def gain(self) -> float:
        """Root mean square times sqrt(fan_in): what comes in with size 1 leaves with this size."""
        return float(self.start.double().square().mean().sqrt()) * math.sqrt(self.fan_in)

    @property
    def constant(self) -> bool:
        """All entries are equal, so that all units are, and stay, one."""
        return self.units > 1 and self.start.numel() > 1 and bool((self.start == self.start.reshape(-1)[0]).all())

    @property
    def mirrored(self) -> bool:
        """All units have the same weights, though one unit's may differ among each other."""
        rows = self.start.movedim(-1, 0) if self.call.name in PRODUCTS else self.start
        return self.units > 1 and bool((rows == rows[0]).all())


@dataclass(frozen=True)
class Weights:
    """All matrices of the main program that an optimizer changes."""

    program: Program
    matrices: tuple[Matrix, ...]

    @classmethod
    def read(cls, tape: Tape) -> Weights:
        program = tape.programs[main_program(tape)]
        trained = {p.name for p in tape.parameters if p.trainable}
        found: dict[str, Matrix] = {}
        for call in program.calls:
            for name in _weights(program, call):
                if name in trained and name not in found and tape.start(name).dim() >= 2:
                    found[name] = _matrix(tape, program, call, name)
        if not found:
            raise NotApplicable("no layer of its own weights takes part")
        return cls(program, tuple(found.values()))


def _weights(program: Program, call: Call) -> list[str]:
    """The weights that a layer's call reads, itself or turned round before."""
    if call.name not in LAYERS:
        return []
    refs = list(call.refs())
    makers = (program.maker(value) for value in refs)
    turned = [r for maker in makers if maker and maker.name in ("t", "T", "transpose", "mT") for r in maker.refs()]
    return [r.name for r in refs + turned if isinstance(r, Weight)]


def _matrix(tape: Tape, program: Program, call: Call, name: str) -> Matrix:
    start = tape.start(name)
    right = call.name in PRODUCTS and Weight(name) in call.refs()
    fan_in = start.shape[-2] if right else math.prod(start.shape[1:])
    units = start.shape[-1] if right else start.shape[0]
    if call.name in RECURRENT:  # what comes in joins the state, and both are drawn by the size of the state
        fan_in = max(fan_in, units // 4)
    return Matrix(name, call, fan_in, units, start.detach(), _hidden(program, call))


def _hidden(program: Program, call: Call) -> bool:
    """Whether what a call makes goes through another layer on its way to the loss."""
    alive = {Value(out) for out in call.outs}
    for later in program.calls[1 + next(i for i, c in enumerate(program.calls) if c is call) :]:
        if any(r in alive for r in later.refs()):
            if later.name in LAYERS and any(isinstance(r, Weight) for r in later.refs()):
                return True
            alive |= {Value(out) for out in later.outs}
    return False


def bypassed(program: Program, layer: Call, output: int | None) -> bool:
    """Whether what comes in reaches the output (None: the loss) by a way around a layer: a gate is no bottleneck."""
    end = program.loss if output is None else output
    last = next((n for n, c in enumerate(program.calls) if end in c.outs), len(program.calls) - 1)
    alive: set[object] = set()
    for call in program.calls[: last + 1]:
        if call is not layer and any(isinstance(r, Outside) or r in alive for r in call.refs()):
            alive |= {Value(out) for out in call.outs}
    return Value(end) in alive
