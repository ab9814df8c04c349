"""The values that calls of the step give on a few recorded batches, at the initial and at the final weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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

    units: int
    """Along the axis of features; 0 if there is one axis only."""
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


def measured(tape: Tape, number: int, calls: Sequence[Call]) -> list[tuple[Values, Values]]:
    """What each call of a program gives, at the initial and at the final weights; NotApplicable if it cannot be run."""
    program = tape.programs[number]
    if program.missing or len(program.calls) > LONGEST:
        raise NotApplicable(program.missing or f"its step has {len(program.calls)} calls")
    passes = [p for p in tape.passes if p.program == number]
    sample = [passes[i * (len(passes) - 1) // max(BATCHES - 1, 1)] for i in range(min(BATCHES, len(passes)))]
    last = "f" if all(f"f:{name}" in tape.tensors for name in program.weights()) else "w"
    states = (zip(*_runs(tape, program, sample, calls, when), strict=True) for when in ("w", last))
    start, end = ([_values(program, *row) for row in zip(calls, seen, strict=True)] for seen in states)
    return list(zip(start, end, strict=True))


def _runs(
    tape: Tape, program: Program, passes: list[Pass], calls: Sequence[Call], when: str
) -> Iterator[list[tuple[Tensor, float]]]:
    """Per batch: what each call gives, and the largest magnitude of what it is given."""
    weights = {name: tape.tensors[f"{when}:{name}"] for name in program.weights()}
    for p in passes:
        outside = tuple(tape.tensors[key] for key in p.outside)
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                values = run(program, weights, outside, {})
                yield [(values[call.outs[0]], _largest(call, values, outside)) for call in calls]
        except (CannotReplay, RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
            text = str(error).strip().splitlines()
            why = text[0][:120] if text else type(error).__name__
            raise NotApplicable(f"its step cannot be run again ({why})") from error


def _largest(call: Call, values: dict[int, Tensor], outside: tuple[Tensor, ...]) -> float:
    ref = next((r for r in call.refs() if isinstance(r, Value | Outside)), None)
    given = values[ref.id] if isinstance(ref, Value) else outside[ref.slot] if isinstance(ref, Outside) else None
    return float(given.abs().max()) if given is not None and given.numel() else 0.0


def _values(program: Program, call: Call, seen: Sequence[tuple[Tensor, float]]) -> Values:
    numbers = torch.cat([out.reshape(-1) for out, _ in seen]).double()
    low, high = _bounds(call)
    middle, reach = (low + high) / 2, FLAT * (high - low) / 2
    flat = (numbers - middle).abs() > reach if math.isfinite(reach) else torch.zeros_like(numbers)
    alive = [_alive(program, call, out) for out, _ in seen]
    alike = all(a.shape == alive[0].shape for a in alive)
    return Values(
        units=alive[0].numel() if seen[0][0].dim() > 1 else 0,
        scale=float(numbers.square().mean().sqrt()),
        silent=1.0 - float(torch.stack(alive).any(0).double().mean()) if alike and alive[0].numel() else 0.0,
        flat=float(flat.double().mean()),
        low=float((numbers == low).double().mean()),
        high=float((numbers == high).double().mean()),
        given=max(given for _, given in seen),
    )


def _alive(program: Program, call: Call, out: Tensor) -> Tensor:
    """(units,) which are not 0 in some row."""
    if out.dim() < 2:
        return (out != 0).reshape(-1)
    axis = max(_axis(program, call, out.dim()), -out.dim())
    return (out != 0).movedim(axis, -1).flatten(0, -2).any(0)


def _axis(program: Program, call: Call, dimensions: int) -> int:
    """The axis of a call's units, counted from the end: the features of the layer that its values come from."""
    for made in (call, *(c for _, c in program.back(call.value()))):
        if made.op.features:
            return made.op.features
        if not (made.op.elementwise or made.op.kind == "norm"):
            break
    return 1 - dimensions if dimensions >= 4 else -1


def _bounds(call: Call) -> tuple[float, float]:
    """The ends of a call's range, as it was called; those of a ReLU for a ReLU with an upper bound."""
    low, high = call.op.range
    if call.name == "hardtanh":
        low, high = float(call.argument(1, "min_val", low)), float(call.argument(2, "max_val", high))
    return (0.0, math.inf) if call.name in ("relu6", "hardtanh") and low == 0 else (low, high)
