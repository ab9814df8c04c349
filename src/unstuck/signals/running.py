"""Batch norm's running statistics in evaluations, against the mean and spread of the values they normalise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Evaluation, Tape
from unstuck.tape.program import Call, Outside, Program, Value

LAST = 3
"""Evaluations that are looked at, the last ones."""
ENOUGH = 16
"""Values per channel: below, the mean of a batch is off by more than a quarter of a standard deviation."""


@dataclass(frozen=True)
class Norm:
    """One batch norm at one evaluation."""

    call: Call
    shift: float
    """Median over channels of |running mean - mean| / spread."""
    stretch: float
    """Median over channels of the spread's ratio, always at least 1."""
    untouched: bool = False
    """The statistics are those that a new layer has (mean 0, variance 1)."""

    @property
    def off(self) -> bool:
        """The statistics describe other data than these."""
        return self.shift > SHIFTED or self.stretch > STRETCHED


SHIFTED = 0.5
"""Spreads. Statistics that follow the training data are off by what the evaluation's data differ, mostly below 0.2."""
STRETCHED = 2.0
"""Times."""


@dataclass(frozen=True)
class Running:
    """The batch norms of the last evaluations in evaluation mode."""

    norms: tuple[Norm, ...]
    momenta: tuple[float, ...]
    """Of the batch norms of the training steps, as first seen (1 where the average is cumulative)."""
    copied: bool = False
    """The last evaluation reads other weights than those that are trained: a copy, such as a moving average."""

    @classmethod
    def read(cls, tape: Tape) -> Running:
        trained = [c for n in _trained(tape) for c in tape.programs[n].calls if c.name == "batch_norm"]
        if not trained:
            raise NotApplicable("no recorded training step holds a batch norm")
        evaluations = [e for e in tape.evaluations if e.after and _norms(tape.programs[e.program])]
        if not evaluations:
            raise NotApplicable("no evaluation with running statistics was recorded")
        norms = tuple(n for e in evaluations[-LAST:] for n in _at(tape, e))
        return cls(norms, tuple(momentum(c) for c in trained), _copied(tape, evaluations[-1]))


def _copied(tape: Tape, evaluation: Evaluation) -> bool:
    trained = {p.name for p in tape.parameters if p.optimizer >= 0}
    read = set(tape.programs[evaluation.program].weights())
    return bool(read) and not read & trained and _moved(tape, read)


def _moved(tape: Tape, names: set[str]) -> bool:
    """Whether weights are others at the end than at first: the script writes to them."""
    ends = {n: tape.tensors.get(f"f:{n}") for n in names}
    return any(end is not None and not torch.equal(end, tape.tensors[f"w:{n}"]) for n, end in ends.items())


def _trained(tape: Tape) -> list[int]:
    """The programs of the training steps."""
    return list(dict.fromkeys(p.program for p in tape.passes))


def momentum(call: Call) -> float:
    """The share of the newest batch."""
    return float(call.argument(6, "momentum", 0.1))


def _norms(program: Program) -> list[Call]:
    """The calls that normalise by running statistics."""
    calls = (c for c in program.calls if c.name == "batch_norm" and not c.argument(5, "training", False))
    return [c for c in calls if isinstance(c.argument(1, "running_mean"), Outside)]


def _at(tape: Tape, evaluation: Evaluation) -> list[Norm]:
    program = tape.programs[evaluation.program]
    weights = {n: tape.tensors.get(f"f:{n}", tape.tensors[f"w:{n}"]) for n in program.weights()}
    outside = tuple(tape.tensors[key] for key in evaluation.outside)
    try:
        with torch.no_grad():
            values = run(program, weights, outside, {})
    except (CannotReplay, RuntimeError, TypeError, ValueError, KeyError, IndexError):
        return []
    return [n for call in _norms(program) if (n := _norm(call, values, outside)) is not None]


def _norm(call: Call, values: dict[int, Tensor], outside: tuple[Tensor, ...]) -> Norm | None:
    given = call.argument(0, "input")
    data = values[given.id] if isinstance(given, Value) else outside[given.slot]
    rows = data.movedim(1, 0).reshape(data.shape[1], -1).double()
    if rows.shape[1] < ENOUGH:
        return None
    mean, spread = rows.mean(1), rows.std(1, correction=0).clamp(min=1e-12)
    running = outside[call.argument(1, "running_mean").slot].double()
    fresh = bool((running == 0).all() and (outside[call.argument(2, "running_var").slot] == 1).all())
    held = outside[call.argument(2, "running_var").slot].double().clamp(min=1e-24).sqrt()
    ratio = torch.maximum(held / spread, spread / held)
    return Norm(call, float(((running - mean).abs() / spread).median()), float(ratio.median()), fresh)
