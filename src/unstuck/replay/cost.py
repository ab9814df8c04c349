"""Estimated cost of a step: an estimate gives the same tape the same course, however busy the machine is."""

from __future__ import annotations

import math

import torch

from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program, Weight

PER_CALL = 100e-6
"""Seconds per call of the program, whatever the number of lanes."""
PER_STEP = 400e-6
"""Seconds per pass besides its calls: the optimizer and scoring."""
IN_TIME = {"lstm": 6, "gru": 6, "rnn_tanh": 3, "rnn_relu": 3}
"""Calls that one recurrent layer makes in lanes, per time step and set of weights."""
NUMBERS = {"lstm": 80, "gru": 60}
"""Numbers that a gated layer computes per number it returns: gates, derivatives, backward."""
PER_PRODUCT, PER_TAP, PER_NUMBER = 8e-11, 4e-10, 1.2e-9
"""Seconds per lane: a multiplication in a matrix product, one in a convolution (grouped over lanes), a number made.
Forward and backward together, one core."""
DOUBLE = {"conv": 6}
"""Cost factor of a call in float64, by the beginning of its name; 2 for all others."""


def estimate(tape: Tape, program: Program) -> tuple[float, float]:
    """(seconds per lane, seconds shared by all lanes) of one pass of a program."""
    shapes = {w.name: w.shape for w in tape.parameters}
    long = any(tape.start(name).dtype == torch.float64 for name in program.weights()[:1])
    lane = sum(_of_call(call, shapes) * (DOUBLE.get(call.name[:4], 2) if long else 1) for call in program.calls)
    return lane, PER_STEP + PER_CALL * sum(map(_calls, program.calls))


def _calls(call: Call) -> int:
    if call.name not in IN_TIME or len(call.shape) < 2:
        return 1
    batch_first = call.argument(8, "batch_first", False) is True
    layers = sum(isinstance(r, Weight) for r in call.refs()) // 2  # one set from the input, one from the last state
    return IN_TIME[call.name] * call.shape[1 if batch_first else 0] * max(1, layers // 2)


def _of_call(call: Call, shapes: dict[str, tuple[int, ...]]) -> float:
    made = math.prod(call.shape)
    weights = [shapes.get(r.name, ()) for r in call.refs() if isinstance(r, Weight)]
    matrices = [s for s in weights if len(s) > 1]
    if call.name.startswith("conv") and matrices:
        return made * math.prod(matrices[0][1:]) * PER_TAP
    if call.name in NUMBERS:
        made *= NUMBERS[call.name] * max(1, len(matrices) // 2)
        return made * PER_NUMBER
    if matrices and call.name != "embedding":
        return made * sum(s[-1] for s in matrices) * PER_PRODUCT
    return made * PER_NUMBER
