"""The norm of every weight's gradient over the run, as recorded after each sampled backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Pass, Tape

EARLY = 20
"""Sampled passes that count as the start of the run, and as many as its end: their median ignores single batches."""


@dataclass(frozen=True)
class Gradients:
    """Norms per weight of the main program, and of the whole gradient, per sampled pass."""

    by_weight: dict[str, tuple[float, ...]]
    whole: tuple[float, ...]
    """Norm of the whole gradient; infinity if the gradient or the loss was NaN or infinite."""

    @property
    def early(self) -> float:
        """The typical norm at the start; NaN if none is finite."""
        return _typical(self.whole[:EARLY])

    @property
    def largest(self) -> float:
        """The largest norm."""
        return max(self.whole)

    def typical(self, name: str) -> tuple[float, float]:
        """A weight's typical norm, at the start and at the end; NaN if none is finite."""
        norms = self.by_weight.get(name, ())
        return _typical(norms[:EARLY]), _typical(norms[-EARLY:])

    @classmethod
    def read(cls, tape: Tape) -> Gradients:
        number = main_program(tape)
        wanted = set(tape.programs[number].weights())
        names = [p.name for p in tape.parameters if p.name in wanted]
        sampled = [p for p in tape.passes if p.program == number and len(p.gradient) == len(names) and not p.stale]
        sampled = sampled or [p for p in tape.passes if p.program == number and len(p.gradient) == len(names)]
        if not sampled or not names:
            raise NotApplicable("no gradient was sampled")
        by_weight = {name: tuple(p.gradient[i] for p in sampled) for i, name in enumerate(names)}
        return cls(by_weight, tuple(_whole(p) for p in sampled))


def _typical(norms: Sequence[float]) -> float:
    finite = [n for n in norms if math.isfinite(n)]
    return median(finite) if finite else math.nan


def _whole(p: Pass) -> float:
    """A weight that got no gradient (NaN) adds nothing."""
    got = [g for g in p.gradient if not math.isnan(g)]
    broken = not math.isfinite(p.loss) or any(math.isinf(g) for g in got)
    return math.inf if broken else math.sqrt(sum(g * g for g in got))
