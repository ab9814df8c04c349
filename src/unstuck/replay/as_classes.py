"""Whole-number targets trained as numbers and as classes, on the recorded batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.replay.bench import Bench, as_written
from unstuck.replay.extent import UNPLAYABLE
from unstuck.replay.run import LaneResult, course_of
from unstuck.signals.losses import Ending, Losses
from unstuck.signals.task import Task
from unstuck.signals.yardstick import yardstick
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Program, Value, Weight


@dataclass(frozen=True)
class AsClasses:
    """Accuracy on batches before they are trained on: of rounded numbers, and of classes."""

    rounded: float
    """Of the recorded outputs, over the last quarter of the whole run."""
    named: float
    """Of the same network with one output per class and cross-entropy, at the end of the replay."""
    skill: float
    """Skill of `named`: 0 for always predicting the most frequent class."""

    @classmethod
    def of(cls, bench: Bench) -> AsClasses:
        """Raises NotApplicable if the last layer is not one linear output."""
        tape = bench.tape
        ending, (layer, weights) = _last(bench.tape)
        passes = [p for p in tape.passes if p.program == bench.main]
        rounded = _rounded(tape, passes[-max(1, len(passes) // 4) :], _slot(ending))
        turned = _turned(bench.tape, bench.main, ending, layer, weights)
        try:
            result, task = _trained(bench, turned)
        except UNPLAYABLE as error:
            raise NotApplicable("one output per class could not be replayed") from error
        if result.stopped or not result.rows or task.kind != "classes":
            raise NotApplicable("one output per class could not be replayed in time")
        return cls(rounded, float(result.score().median()), float(result.skill().median()))


def _last(tape: Tape) -> tuple[Ending, tuple[Call, list[Weight]]]:
    found = [(e, e.layer) for e in Losses.read(tape).endings if e.layer is not None and not e.bent]
    if len(found) != 1:
        raise NotApplicable("the loss is given more than one linear layer's output")
    ending, layer = found[0]
    weights = [r for r in layer.refs() if isinstance(r, Weight)]
    if layer.name != "linear" or layer.shape[1:] != (1,) or len(weights) not in (1, 2) or ending.target is None:
        raise NotApplicable("the loss is not given one number per row by a linear layer")
    return ending, (layer, weights)


def _slot(ending: Ending) -> int:
    assert ending.target is not None
    return ending.target.slot


def _rounded(tape: Tape, passes: list[Pass], slot: int) -> float:
    pairs = [(tape.tensors[p.output], tape.tensors[p.outside[slot]]) for p in passes if p.output]
    if not pairs or any(a.numel() != b.numel() for a, b in pairs):
        raise NotApplicable("the network's outputs are not on the tape")
    return float(torch.cat([(a.flatten().round() == b.flatten()).double() for a, b in pairs]).mean())


def _turned(tape: Tape, number: int, ending: Ending, layer: Call, weights: list[Weight]) -> Tape:
    """The tape with one output per class, drawn as a linear layer draws its weights, under a cross-entropy."""
    slot = _slot(ending)
    keys = dict.fromkeys(p.outside[slot] for p in tape.passes if p.program == number)
    low = min(int(tape.tensors[key].min()) for key in keys)
    classes = max(int(tape.tensors[key].max()) for key in keys) - low + 1
    tensors = {**tape.tensors, **{f"ids:{k}": (tape.tensors[k].flatten() - low).long() for k in keys}}
    draw, width = torch.Generator().manual_seed(0), tape.start(weights[0].name).shape[1]
    for weight in weights:
        shape = (classes, *tape.start(weight.name).shape[1:])
        drawn: Tensor = (2 * torch.rand(shape, generator=draw) - 1) / math.sqrt(width)
        tensors[f"w:{weight.name}"] = drawn.to(tape.start(weight.name).dtype)
    named = lambda p: tuple(f"ids:{k}" if i == slot else k for i, k in enumerate(p.outside))
    passes = (msgspec.structs.replace(p, outside=named(p)) if p.program == number else p for p in tape.passes)
    programs = (_as_classes(q, ending, layer) if i == number else q for i, q in enumerate(tape.programs))
    return msgspec.structs.replace(tape, passes=tuple(passes), programs=tuple(programs), tensors=tensors)


def _as_classes(program: Program, ending: Ending, layer: Call) -> Program:
    """The program cut behind its last layer, with a cross-entropy for an end."""
    at = next(i for i, c in enumerate(program.calls) if c.outs == layer.outs)
    wide = msgspec.structs.replace(layer, shape=())
    function, out = "torch.nn.functional.cross_entropy", program.fresh()
    loss = Call(function, (Value(layer.outs[0]), ending.target), {}, (out,), ending.loss.sites, ending.loss.grad, ())
    return msgspec.structs.replace(program, calls=(*program.calls[:at], wide, loss), loss=out)


def _trained(bench: Bench, turned: Tape) -> tuple[LaneResult, Task]:
    task = Task.read(turned, bench.main)
    passes = turned.passes[: len(bench.course.passes)]
    course = course_of(turned, passes, bench.main, yardstick(turned, bench.main, task), task)
    return bench.trained(as_written(turned), course), task
