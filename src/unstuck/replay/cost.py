"""Estimated cost of a step: an estimate gives the same tape the same course, however busy the machine is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

from unstuck.tape import sparse
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Constant, Outside, Program, Ref, Value, Weight

Manner = Literal["at once", "one by one"]
"""How the lanes of a trial train."""
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
    shape = _shapes(tape, program)
    long = any(tape.start(name).dtype == torch.float64 for name in program.weights()[:1])
    factors = [(call, DOUBLE.get(call.name[:4], 2) if long else 1) for call in program.calls]
    lane = sum(_of_call(call, shape) * factor for call, factor in factors)
    alone = sum(_alone(tape, program, call, shape) * factor for call, factor in factors)
    numbers = sum(math.prod(call.shape) for call in program.calls) * (8 if long else 4)
    shared = PER_STEP + PER_CALL * sum(map(_calls, program.calls))
    return Cost(lane / speed, shared, alone / speed, numbers, len(program.calls))


Shape = tuple[int, ...]


def _shapes(tape: Tape, program: Program) -> Callable[[Ref], Shape]:
    """The shape of what a call reads; () where it is not known."""
    weights = {w.name: w.shape for w in tape.parameters}
    made = {call.outs[0]: call.shape for call in program.calls if call.outs}
    of = next((p for p in tape.passes if tape.programs[p.program] is program), None)

    def shape(ref: Ref) -> Shape:
        match ref:
            case Weight(name):
                return weights.get(name, ())
            case Value(id):
                return made.get(id, ())
            case Outside(slot):
                return tuple(tape.tensors[of.outside[slot]].shape) if of is not None else ()
            case Constant():
                return ()

    return shape


def _calls(call: Call) -> int:
    if call.name not in IN_TIME or len(call.shape) < 2:
        return 1
    batch_first = call.argument(8, "batch_first", False) is True
    layers = sum(isinstance(r, Weight) for r in call.refs()) // 2  # one set from the input, one from the last state
    return IN_TIME[call.name] * call.shape[1 if batch_first else 0] * max(1, layers // 2)


def _of_call(call: Call, shape: Callable[[Ref], Shape]) -> float:
    made = math.prod(call.shape)
    matrices = _matrices(call, shape)
    if call.name.startswith("conv") and matrices:
        taps = made * math.prod(matrices[0][1:])
        return min(taps, LARGE) * PER_TAP + max(0.0, taps - LARGE) * PER_TAP_LARGE
    if call.name in NUMBERS:
        made *= NUMBERS[call.name] * max(1, len(matrices) // 2)
        return made * PER_NUMBER
    if inner := _summed(call, shape):
        return made * inner * PER_PRODUCT
    if matrices and call.name != "embedding":
        return made * sum(s[-1] for s in matrices) * PER_PRODUCT
    return made * PER_NUMBER


def _alone(tape: Tape, program: Program, call: Call, shape: Callable[[Ref], Shape]) -> float:
    if call.name in NUMBERS:
        return _gates(call, shape)
    return _of_call(call, shape) * _filled(tape, program, call)


def _filled(tape: Tape, program: Program, call: Call) -> float:
    """The share of a product with a recorded matrix that is computed where its zeros are left out."""
    first = call.args[0] if call.op.kind == "product" and call.args else None
    of = next((p for p in tape.passes if tape.programs[p.program] is program), None)
    if not isinstance(first, Outside) or first.slot not in sparse.multiplied(program) or of is None:
        return 1.0
    thin = sparse.without_zeros(tape.tensors[of.outside[first.slot]])
    return 1.0 if thin is None else max(SCATTERED * thin.values().numel() / thin.numel(), 1e-3)


def _summed(call: Call, shape: Callable[[Ref], Shape]) -> int:
    """Of a product: the terms of each sum; 0 where they are not known."""
    argument, axis = SUMMED.get(call.name, (0, 0))
    ref = call.args[argument] if axis and argument < len(call.args) else None
    read = shape(ref) if isinstance(ref, Ref) else ()
    if not read:
        return 0
    return read[axis if -axis <= len(read) else 0] * (2 if call.op.kind == "attention" else 1)


def _matrices(call: Call, shape: Callable[[Ref], Shape]) -> list[Shape]:
    return [s for r in call.refs() if isinstance(r, Weight) and len(s := shape(r)) > 1]


def _gates(call: Call, shape: Callable[[Ref], Shape]) -> float:
    """A recurrent layer by torch's own kernel: matrix products, and its gates."""
    products = math.prod(call.shape[:-1]) * sum(math.prod(s) for s in _matrices(call, shape))
    return products * PER_PRODUCT + 10 * math.prod(call.shape) * PER_NUMBER
