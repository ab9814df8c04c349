"""What every call of the step makes, at the weights of the start and at those of the end: the program, run again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Program, Value

BATCHES = 6
"""Batches that are run, spread evenly over the tape."""
LONGEST = 2_000
"""Programs with more calls than this are not run: their values would fill the memory."""


@dataclass(frozen=True)
class Layer:
    """One call and all that it made on the sampled batches: at the start, and at the end of the run."""

    call: Call
    number: int
    start: tuple[Tensor, ...]
    end: tuple[Tensor, ...]

    def share(self, when: str, low: float, high: float) -> float:
        """Of all values at the start (or end), the share inside [low, high]."""
        values = torch.cat([v.reshape(-1) for v in getattr(self, when)]).double()
        return float(((values >= low) & (values <= high)).double().mean()) if len(values) else 0.0

    def silent(self, when: str) -> float:
        """The share of units (along the last axis, or channels) that are zero for every row of every batch."""
        units = [_by_unit(v) for v in getattr(self, when)]
        return float(torch.stack([(u == 0).all(1) for u in units]).all(0).double().mean()) if units else 0.0


@dataclass(frozen=True)
class Activations:
    """All the values of the main program."""

    program: Program
    start: tuple[dict[int, Tensor], ...]
    end: tuple[dict[int, Tensor], ...]

    @classmethod
    def read(cls, tape: Tape) -> Activations:
        number = main_program(tape)
        program = tape.programs[number]
        if program.missing or len(program.calls) > LONGEST:
            raise NotApplicable(program.missing or f"its step has {len(program.calls)} calls")
        passes = [p for p in tape.passes if p.program == number]
        sample = [passes[i * (len(passes) - 1) // max(BATCHES - 1, 1)] for i in range(min(BATCHES, len(passes)))]
        last = "f" if all(f"f:{name}" in tape.tensors for name in program.weights()) else "w"
        return cls(program, tuple(_runs(tape, program, sample, "w")), tuple(_runs(tape, program, sample, last)))

    def layer(self, call: Call) -> Layer:
        """What one call made."""
        out = call.outs[0]
        return Layer(call, out, tuple(v[out] for v in self.start), tuple(v[out] for v in self.end))

    def into(self, call: Call) -> Layer | None:
        """What a call was given first, where another call made it."""
        ref = next((r for r in call.refs() if isinstance(r, Value)), None)
        maker = self.program.maker(ref) if ref is not None else None
        return self.layer(maker) if maker is not None and maker.outs[0] == getattr(ref, "id", None) else None

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All calls, in order."""
        return tuple(self.layer(c) for c in self.program.calls if c.outs and all(c.outs[0] in v for v in self.start))


def _runs(tape: Tape, program: Program, passes: list[Pass], when: str) -> Iterator[dict[int, Tensor]]:
    weights = {name: tape.tensors[f"{when}:{name}"] for name in program.weights()}
    for p in passes:
        try:
            with torch.no_grad(), torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                yield run(program, weights, tuple(tape.tensors[key] for key in p.outside), {})
        except (CannotReplay, RuntimeError, TypeError, ValueError, KeyError, IndexError) as error:
            text = str(error).strip().splitlines()
            raise NotApplicable(
                f"its step cannot be run again ({text[0][:120] if text else type(error).__name__})"
            ) from error


def _by_unit(values: Tensor) -> Tensor:
    """(units, rows): channels for pictures and the like, else the last axis."""
    if values.dim() < 2:
        return values.reshape(1, -1)
    axis = 1 if values.dim() >= 4 else -1
    return values.movedim(axis, 0).reshape(values.shape[axis], -1)
