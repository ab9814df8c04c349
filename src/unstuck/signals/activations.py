"""The values that calls of the step give on a few recorded batches, at the initial and at the final weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.tape.interpreter import CannotReplay, walk
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program, Value

BATCHES = 6
"""Batches that are run, spread evenly over the tape."""
NUMBERS, FEWEST = 200_000_000, 2
"""Numbers that a heavy step's calls may make over all batches: fewer batches are run, FEWEST at least."""
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
    made = sum(math.prod(call.shape) for call in program.calls)
    count = max(FEWEST, min(BATCHES, NUMBERS // max(made, 1)))
    sample = [passes[i * (len(passes) - 1) // max(count - 1, 1)] for i in range(min(count, len(passes)))]
    last = "f" if all(f"f:{name}" in tape.tensors for name in program.weights()) else "w"
    start, end = (list(map(_summed, _runs(tape, program, sample, calls, when))) for when in ("w", last))
    return list(zip(start, end, strict=True))


class _Part(NamedTuple):
    """What one batch shows of a call: sums over its values."""

    numbers: int
    squares: float
    flat: int
    low: int
    high: int
    alive: Tensor
    """(units,) which are not 0 in some row."""
    wide: bool
    """The values have an axis besides that of rows."""
    given: float


def _runs(
    tape: Tape, program: Program, passes: list[Pass], calls: Sequence[Call], when: str
) -> Iterator[tuple[_Part, ...]]:
    """Per call: what each batch shows of it. The values themselves are let go: those of all layers would not fit."""
    weights = {name: tape.tensors[f"{when}:{name}"] for name in program.weights()}
    return zip(*(_run(tape, program, p, calls, weights) for p in passes), strict=True)


def _run(tape: Tape, program: Program, p: Pass, calls: Sequence[Call], weights: dict[str, Tensor]) -> list[_Part]:
    outside = tuple(tape.tensors[key] for key in p.outside)
    asked, parts = {id(call) for call in calls}, dict[int, _Part]()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for call, values in walk(program, weights, outside, {}):
                if id(call) in asked:
                    parts[id(call)] = _part(program, call, values[call.outs[0]], _largest(call, values, outside))
    except (CannotReplay, RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
        text = str(error).strip().splitlines()
        why = text[0][:120] if text else type(error).__name__
        raise NotApplicable(f"its step cannot be run again ({why})") from error
    return [parts[id(call)] for call in calls]


def _largest(call: Call, values: dict[int, Tensor], outside: tuple[Tensor, ...]) -> float:
    ref = next((r for r in call.refs() if isinstance(r, Value | Outside)), None)
    given = values[ref.id] if isinstance(ref, Value) else outside[ref.slot] if isinstance(ref, Outside) else None
    return float(given.abs().max()) if given is not None and given.numel() else 0.0


def _part(program: Program, call: Call, out: Tensor, given: float) -> _Part:
    low, high = _bounds(call)
    middle, reach = (low + high) / 2, FLAT * (high - low) / 2
    values = out if out.is_floating_point() else out.double()
    count = lambda which: int(which.sum())
    return _Part(
        numbers=out.numel(),
        squares=float(torch.linalg.vector_norm(values, dtype=torch.float64)) ** 2,
        flat=count((values - middle).abs() > reach) if math.isfinite(reach) else 0,
        low=count(out == low),
        high=count(out == high),
        alive=_alive(program, call, out),
        wide=out.dim() > 1,
        given=given,
    )


def _summed(parts: Sequence[_Part]) -> Values:
    alive = [part.alive for part in parts]
    alike = all(a.shape == alive[0].shape for a in alive)
    total = sum(part.numbers for part in parts)
    share = lambda counted: counted / total if total else math.nan
    return Values(
        units=alive[0].numel() if parts[0].wide else 0,
        scale=math.sqrt(share(sum(part.squares for part in parts))),
        silent=1.0 - float(torch.stack(alive).any(0).double().mean()) if alike and alive[0].numel() else 0.0,
        flat=share(sum(part.flat for part in parts)),
        low=share(sum(part.low for part in parts)),
        high=share(sum(part.high for part in parts)),
        given=max(part.given for part in parts),
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
