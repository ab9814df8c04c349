"""The weight matrices of the step as they were before the first update, against each unit's number of connections."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from unstuck.signals.gradients import Gradients
from unstuck.tape.model import Tape
from unstuck.tape.ops import LAYERS, RECURRENT, names
from unstuck.tape.program import Call, Program, Weight

PRODUCTS = names(lambda op: op.kind == "product")
"""Calls in which a weight stands on the right, inputs down and outputs across."""
MATRICES = RECURRENT | PRODUCTS | {"linear", "conv1d", "conv2d", "conv3d"}
"""Calls whose matrix torch initialises by the connections of an output. It draws transposed convolutions by those of an
input: from 512 channels to 1 (kernel 4, stride 2) their gain is 6 by default."""


@dataclass(frozen=True)
class Matrix:
    """One weight matrix (or kernel) of a layer."""

    name: str
    call: Call
    fan_in: int
    units: int
    hidden: bool
    """A further layer reads what its layer gives."""
    gain: float
    """Initial root mean square times sqrt(fan_in): an input of size 1 leaves with this size."""
    constant: float | None
    """The initial value of all its entries, if they are equal: all units are then the same one, and stay so."""
    mirrored: bool
    """All units have the same initial weights, though one unit's may differ from each other."""
    gradient: tuple[float, float]
    """Typical norm of the gradient relative to the norm of the weights, at the start and at the end of the run; NaN if
    it was not sampled."""


def matrices(tape: Tape, program: Program, gradients: Gradients | None) -> tuple[Matrix, ...]:
    """All matrices of a program that are trained, each at its first call."""
    trained = {p.name for p in tape.parameters if p.trainable}
    found: dict[str, Matrix] = {}
    for call in program.calls:
        for name in _weights(program, call):
            if name in trained and name not in found and tape.start(name).dim() >= 2:
                found[name] = _matrix(tape, program, call, name, gradients)
    return tuple(found.values())


def layer_follows(program: Program, call: Call) -> bool:
    """Whether what a call gives meets further weights on its way to the loss: in a layer, or in a product with a matrix
    or a table of weights in another shape (`x @ table.weight.T`)."""
    layers = LAYERS | RECURRENT
    return any((c.name in layers and c.weights()) or _multiplies(program, c) for c in program.after(call))


def _multiplies(program: Program, call: Call) -> bool:
    return call.name in MATRICES and any(isinstance(program.source(ref), Weight) for ref in call.refs())


def _weights(program: Program, call: Call) -> list[str]:
    """The weights that a layer's call reads, directly or transposed."""
    if call.name not in MATRICES:
        return []
    refs = list(call.refs())
    makers = (program.maker(value) for value in refs)
    turned = [r for maker in makers if maker and maker.name in ("t", "T", "transpose", "mT") for r in maker.refs()]
    return [r.name for r in refs + turned if isinstance(r, Weight)]


def _matrix(tape: Tape, program: Program, call: Call, name: str, gradients: Gradients | None) -> Matrix:
    start = tape.start(name).detach()
    right = call.name in PRODUCTS and Weight(name) in call.refs()
    fan_in = start.shape[-2] if right else math.prod(start.shape[1:])
    rows = start.movedim(-1, 0) if right else start
    if call.name in RECURRENT:  # the input joins the state, and torch draws both by the size of the state
        fan_in = max(fan_in, len(rows) // 4)
    entry = float(start.reshape(-1)[0]) if start.numel() else 0.0
    return Matrix(
        name, call, fan_in, len(rows), layer_follows(program, call),
        gain=float(start.double().square().mean().sqrt()) * math.sqrt(fan_in),
        constant=entry if len(rows) > 1 and bool((start == entry).all()) else None,
        mirrored=len(rows) > 1 and bool((rows == rows[0]).all()),
        gradient=_relative(tape, name, gradients),
    )  # fmt: skip


def _relative(tape: Tape, name: str, gradients: Gradients | None) -> tuple[float, float]:
    if gradients is None:
        return math.nan, math.nan
    final: Tensor = tape.tensors.get(f"f:{name}", tape.start(name))
    sizes = (float(w.double().norm()) for w in (tape.start(name), final))
    first, last = (norm / max(size, 1e-12) for norm, size in zip(gradients.typical(name), sizes, strict=True))
    return first, last
