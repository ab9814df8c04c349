"""Axes that a reshape relabelled instead of moving them, of inputs and between layers.

A reshape keeps the order in memory. If a permute was meant, one channel over time, as a convolution or a recurrent
layer reads it, is a mixture of all channels. Time series and images are smooth along their own axes: if neighbours
differ less when the memory is read the other way round, the axes are mixed up (the ratio of J. von Neumann, 1941).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.axes import Regrouping, left_out, turned
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program

LAYERS = {"conv1d": True, "conv2d": True, "lstm": False, "gru": False, "rnn_tanh": False, "rnn_relu": False}
"""Layers that read along an axis, and whether the features' axis comes before it."""
BATCHES, NUMBERS = 8, 400_000
"""Batches that are read, and numbers in them."""


@dataclass(frozen=True)
class Reading:
    """One input of a layer that reads along an axis of it."""

    slot: int
    call: Call
    shape: tuple[int, ...]
    """As the layer gets it."""
    rough: float
    """Mean squared step between neighbours over that between random pairs (1 for noise), as the layer reads it."""
    meant: float
    """The same if the memory is read with the features on the other side."""


@dataclass(frozen=True)
class MixedAxes:
    """Every input that a reshape may have scrambled."""

    readings: tuple[Reading, ...]
    relabelled: tuple[tuple[Call, Regrouping], ...] = ()
    """Reshapes between layers that cut across axes, from (batch, a, b) to (batch, b, a) and their like."""

    @classmethod
    def read(cls, tape: Tape) -> MixedAxes:
        """Raises NotApplicable if no layer reads along an axis of an input."""
        number = main_program(tape)
        program = tape.programs[number]
        passes = [p for p in tape.passes if p.program == number][:BATCHES]
        found = []
        for slot, call in _entries(program):
            batches = [tape.tensors[key] for key in dict.fromkeys(p.outside[slot] for p in passes)]
            if (reading := _reading(slot, call, batches)) is not None:
                found.append(reading)
        between = tuple(_relabelled(program))
        if not found and not between:
            raise NotApplicable("the recorded main step has no layer that is known to read along an axis")
        return cls(tuple(found), between)


def _relabelled(program: Program) -> Iterator[tuple[Call, Regrouping]]:
    for call in program.calls:
        if (meant := left_out(program, call)) is not None:
            yield call, meant


def _entries(program: Program) -> Iterator[tuple[int, Call]]:
    for slot in range(program.slots):
        for call in program.users(Outside(slot)):
            if call.name in LAYERS and call.refs()[0] == Outside(slot) and _batch_first(call):
                yield slot, call
                break


def _batch_first(call: Call) -> bool:
    return LAYERS[call.name] or bool(call.args[-1])


def _reading(slot: int, call: Call, batches: list[Tensor]) -> Reading | None:
    shape, first = tuple(batches[0].shape), LAYERS[call.name]
    features, along = (shape[1], shape[2:]) if first else (shape[-1], shape[1:-1])
    if len(shape) != (4 if call.name == "conv2d" else 3) or not batches[0].is_floating_point():
        return None
    if features < 2 or min(along) < 4 or (features, *along) == (*along, features):
        return None
    whole = torch.cat([b for b in batches if b.shape[1:] == shape[1:]])
    whole = whole[: max(1, NUMBERS // max(1, whole[0].numel()))].detach().double()
    if not bool(torch.isfinite(whole).all()):
        return None
    return Reading(slot, call, shape, _roughness(whole, first), _roughness(turned(whole, first), first))


def _roughness(values: Tensor, features_first: bool) -> float:
    """The mean squared step between neighbours along the axes, over twice the variance of each feature."""
    by_feature = values if features_first else values.movedim(-1, 1)
    spread = by_feature.transpose(0, 1).flatten(1).var(1, correction=0)
    steps = [by_feature.diff(dim=d).square().transpose(0, 1).flatten(1).mean(1) for d in range(2, by_feature.dim())]
    lively = spread > 0
    if not bool(lively.any()):
        return 1.0
    return float((torch.stack(steps).mean(0)[lively] / (2 * spread[lively])).mean())
