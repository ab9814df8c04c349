"""Estimated cost of a step: an estimate gives the same tape the same course, however busy the machine is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from unstuck.tape import sparse
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, Value, Weight

Manner = Literal["at once", "one by one"]
"""How the lanes of a trial train."""
Shape = tuple[int, ...]
PER_CALL = 100e-6
"""Seconds per call of the program, whatever the number of lanes."""
PER_STEP = 400e-6
"""Seconds per pass besides its calls: the optimizer and scoring."""
IN_TIME = {"lstm": 6, "gru": 6, "rnn_tanh": 3, "rnn_relu": 3}
"""Calls that one recurrent layer makes in lanes, per time step and set of weights."""
NUMBERS = {"lstm": 80, "gru": 60}
"""Numbers that a gated layer computes per number it returns: gates, derivatives, backward."""
PER_CALL_ALONE = 50e-6
"""Seconds per call of a lane that runs by itself, forward and backward."""
PER_PRODUCT, PER_NUMBER = 8e-11, 1.2e-9
"""Seconds per lane: a multiplication in a matrix product, a number made. Forward and backward together, one core."""
PER_TAP, PER_TAP_LARGE, LARGE = 4e-10, 1.2e-10, 5e7
"""A multiplication in a convolution; beyond LARGE ones in a call, where the kernels come to their speed."""
SUMMED = {
    "linear": (0, -1), "matmul": (0, -1), "mm": (0, -1), "spmm": (0, -1), "bmm": (0, -1), "mv": (0, -1),
    "rmatmul": (0, -2), "addmm": (1, -1), "baddbmm": (1, -1), "scaled_dot_product_attention": (1, -2),
}  # fmt: skip
"""Products: the argument, and its axis, that each number they make is a sum over."""
SCATTERED = 10.0
"""Times that a multiplication with a number of a sparse matrix takes longer."""
DOUBLE = {"conv": 6}
"""Cost factor of a call in float64, by the beginning of its name; 2 for all others."""


@dataclass(frozen=True)
class Cost:
    """What one pass of a program takes: seconds, and bytes of the numbers that it makes."""

    lane: float
    """Seconds of each lane, where all run at once ..."""
    shared: float
    """... and of all together, whatever their number."""
    alone: float
    """Seconds of a lane that runs by itself, through plain autograd."""
    numbers: int
    """Bytes of what the calls return, of one lane."""
    calls: int
    """Calls of the program."""

    def seconds(self, lanes: int, manner: Manner, every: int = 1) -> float:
        """Seconds of one pass in so many lanes, with one row in `every`."""
        if manner == "at once":
            return lanes * self.lane / every + self.shared
        return PER_STEP + lanes * (self.alone / every + PER_CALL_ALONE * self.calls)


def estimate(tape: Tape, program: Program, speed: float = 1.0) -> Cost:
    """The cost of one pass of a program, on a device `speed` times as fast as one core."""
    read = _Read.of(tape, program)
    long = any(tape.start(name).dtype == torch.float64 for name in program.weights()[:1])
    factors = [(call, DOUBLE.get(call.name[:4], 2) if long else 1) for call in program.calls]
    lane = sum(_of_call(call, read) * factor for call, factor in factors)
    alone = sum(_alone(call, read) * factor for call, factor in factors)
    numbers = sum(math.prod(call.shape) for call in program.calls) * (8 if long else 4)
    shared = PER_STEP + PER_CALL * sum(map(_calls, program.calls))
    return Cost(lane / speed, shared, alone / speed, numbers, len(program.calls))


@dataclass(frozen=True)
class _Read:
    """What the calls of a program read."""

    weights: dict[str, Shape]
    made: dict[int, Shape]
    """By value."""
    outside: tuple[Tensor, ...]
    filled: dict[int, float]
    """By slot of a sparse matrix: its share of numbers that are not 0."""

    @classmethod
    def of(cls, tape: Tape, program: Program) -> _Read:
        first = next((p for p in tape.passes if tape.programs[p.program] is program), None)
        outside = tuple(tape.tensors[key] for key in first.outside) if first is not None else ()
        thin = {n: t for n, t in enumerate(sparse.entering(program, outside)) if t.is_sparse}
        return cls(
            {w.name: w.shape for w in tape.parameters},
            {call.outs[0]: call.shape for call in program.calls if call.outs},
            outside,
            {n: t._values().numel() / t.numel() for n, t in thin.items()},
        )

    def shape(self, ref: Any) -> Shape:
        """() where it is not known."""
        match ref:
            case Weight(name):
                return self.weights.get(name, ())
            case Value(number):
                return self.made.get(number, ())
            case Outside(slot) if slot < len(self.outside):
                return tuple(self.outside[slot].shape)
        return ()


def _calls(call: Call) -> int:
    if call.name not in IN_TIME or len(call.shape) < 2:
        return 1
    batch_first = call.argument(8, "batch_first", False) is True
    layers = sum(isinstance(r, Weight) for r in call.refs()) // 2  # one set from the input, one from the last state
    return IN_TIME[call.name] * call.shape[1 if batch_first else 0] * max(1, layers // 2)


def _of_call(call: Call, read: _Read) -> float:
    made = math.prod(call.shape)
    matrices = _matrices(call, read)
    if call.name.startswith("conv") and matrices:
        taps = made * math.prod(matrices[0][1:])
        return min(taps, LARGE) * PER_TAP + max(0.0, taps - LARGE) * PER_TAP_LARGE
    if call.name in NUMBERS:
        made *= NUMBERS[call.name] * max(1, len(matrices) // 2)
        return made * PER_NUMBER
    if inner := _summed(call, read):
        return made * inner * PER_PRODUCT
    if matrices and call.name != "embedding":
        return made * sum(s[-1] for s in matrices) * PER_PRODUCT
    return made * PER_NUMBER


def _alone(call: Call, read: _Read) -> float:
    if call.name in NUMBERS:
        return _gates(call, read)
    first = call.args[0] if call.args else None
    filled = read.filled.get(first.slot) if isinstance(first, Outside) and call.op.kind == "product" else None
    return _of_call(call, read) * (1.0 if filled is None else max(SCATTERED * filled, 1e-3))


def _summed(call: Call, read: _Read) -> int:
    """Of a product: the terms of each sum; 0 where they are not known."""
    argument, axis = SUMMED.get(call.name, (0, 0))
    shape = read.shape(call.args[argument]) if axis and argument < len(call.args) else ()
    if not shape:
        return 0
    return shape[axis if -axis <= len(shape) else 0] * (2 if call.op.kind == "attention" else 1)


def _matrices(call: Call, read: _Read) -> list[Shape]:
    return [s for r in call.refs() if isinstance(r, Weight) and len(s := read.shape(r)) > 1]


def _gates(call: Call, read: _Read) -> float:
    """A recurrent layer by torch's own kernel: matrix products, and its gates."""
    products = math.prod(call.shape[:-1]) * sum(math.prod(s) for s in _matrices(call, read))
    return products * PER_PRODUCT + 10 * math.prod(call.shape) * PER_NUMBER
