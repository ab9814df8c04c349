"""The values that calls of the step give on a few recorded batches, at the initial and at the final weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program, Value

BATCHES = 6
"""Batches that are run, spread evenly over the tape."""
LONGEST = 2_000
"""Programs with more calls than this are not run: their values would fill the memory."""
FLAT = 0.999
"""Of the way from the middle of a bounded activation to an end. There tanh has 1/500 of its steepest slope, and so has
sigmoid: the slope is 1 - t^2, or s (1 - s)."""


class Values(NamedTuple):
    """What a call gave over the batches."""

    scale: float
    """Root mean square."""
    silent: float
    """Share of its units that are 0 in every row of every batch."""
    flat: float
    """Share of the values within 1 - FLAT of an end of its range."""
    low: float
    """Share of the values exactly at the lower end."""
    high: float
    """Share of the values exactly at the upper end."""
    given: float
    """Largest magnitude of what the call was given."""


@dataclass(frozen=True)
class _Counts:
    """The same of one batch, in numbers that can be added."""

    numbers: int
    squares: float
    flat: int
    low: int
    high: int
    given: float
    alive: Tensor
    """(units,) which are not 0 in some row."""


def measured(tape: Tape, number: int, calls: Sequence[Call]) -> list[tuple[Values, Values]]:
    """What each call of a program gives, at the initial and at the final weights; NotApplicable if it cannot be run."""
    program = tape.programs[number]
    if program.missing or len(program.calls) > LONGEST:
        raise NotApplicable(program.missing or f"its step has {len(program.calls)} calls")
    passes = [p for p in tape.passes if p.program == number]
    sample = [passes[i * (len(passes) - 1) // max(BATCHES - 1, 1)] for i in range(min(BATCHES, len(passes)))]
    last = "f" if all(f"f:{name}" in tape.tensors for name in program.weights()) else "w"
    start, end = (list(zip(*_runs(tape, program, sample, calls, when), strict=True)) for when in ("w", last))
    return [(_values(first), _values(final)) for first, final in zip(start, end, strict=True)]


def unit_axis(program: Program, call: Call, dimensions: int) -> int:
    """The axis of a call's units, counted from the end: the features of the layer that its values come from."""
    for made in (call, *(c for _, c in program.back(call.value()))):
        if made.op.features:
            return made.op.features
        if not (made.op.elementwise or made.op.kind == "norm"):
            break
    return 1 - dimensions if dimensions >= 4 else -1


def _runs(
    tape: Tape, program: Program, passes: list[Pass], calls: Sequence[Call], when: str
) -> Iterator[list[_Counts]]:
    weights = {name: tape.tensors[f"{when}:{name}"] for name in program.weights()}
    for p in passes:
        outside = tuple(tape.tensors[key] for key in p.outside)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                values = run(program, weights, outside, {})
                yield [_counts(program, call, values, outside) for call in calls]
        except (CannotReplay, RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
            text = str(error).strip().splitlines()
            why = text[0][:120] if text else type(error).__name__
            raise NotApplicable(f"its step cannot be run again ({why})") from error


def _counts(program: Program, call: Call, values: dict[int, Tensor], outside: tuple[Tensor, ...]) -> _Counts:
    out = values[call.outs[0]].double()
    low, high = _bounds(call)
    ref = next((r for r in call.refs() if isinstance(r, Value | Outside)), None)
    given = values[ref.id] if isinstance(ref, Value) else outside[ref.slot] if isinstance(ref, Outside) else out
    flat = int(((out - (low + high) / 2).abs() > FLAT * (high - low) / 2).sum()) if math.isfinite(high - low) else 0
    axis = max(unit_axis(program, call, out.dim()), -out.dim()) if out.dim() > 1 else None
    alive = out != 0 if axis is None else (out != 0).movedim(axis, -1).flatten(0, -2).any(0)
    return _Counts(
        out.numel(), float(out.square().sum()), flat, int((out == low).sum()), int((out == high).sum()),
        float(given.abs().max()) if given.numel() else 0.0, alive.reshape(-1),
    )  # fmt: skip


def _bounds(call: Call) -> tuple[float, float]:
    """The ends of a call's range, as it was called; those of a ReLU for a ReLU with an upper bound."""
    low, high = call.op.range
    if call.name == "hardtanh":
        low, high = float(call.argument(1, "min_val", low)), float(call.argument(2, "max_val", high))
    return (0.0, math.inf) if call.name in ("relu6", "hardtanh") and low == 0 else (low, high)


def _values(parts: Sequence[_Counts]) -> Values:
    numbers = max(1, sum(p.numbers for p in parts))
    alike = all(p.alive.shape == parts[0].alive.shape for p in parts)
    alive = torch.stack([p.alive for p in parts]).any(0) if alike else torch.ones(1, dtype=torch.bool)
    return Values(
        math.sqrt(sum(p.squares for p in parts) / numbers),
        float((~alive).double().mean()) if alive.numel() else 0.0,
        sum(p.flat for p in parts) / numbers,
        sum(p.low for p in parts) / numbers,
        sum(p.high for p in parts) / numbers,
        max(p.given for p in parts),
    )
