"""The size of every weight's gradient over the run, and whether it stays a number."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import main_program
from unstuck.tape.model import Pass, Tape

EARLY = 20
"""Sampled passes that count as the beginning."""


@dataclass(frozen=True)
class Gradients:
    """Norms per weight of the main program, and of the whole gradient, as sampled."""

    by_weight: dict[str, tuple[float, ...]]
    whole: tuple[float, ...]
    """Norm of all together, per sampled pass (NaN and infinity where they arose)."""

    @property
    def early(self) -> float:
        """The usual norm at the beginning: the median of the finite ones."""
        finite = [n for n in self.whole[:EARLY] if math.isfinite(n)]
        return median(finite) if finite else math.nan

    @property
    def largest(self) -> float:
        """The largest norm, infinity where one was not a number."""
        return max((n if math.isfinite(n) else math.inf for n in self.whole), default=0.0)

    def typical(self, name: str) -> float:
        """A weight's usual norm at the beginning."""
        finite = [n for n in self.by_weight.get(name, ())[:EARLY] if math.isfinite(n)]
        return median(finite) if finite else math.nan

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
        return cls(by_weight, tuple(_whole(p, tape) for p in sampled))


def _whole(p: Pass, tape: Tape) -> float:
    """Norm of all gradients; a weight that got none has none to add."""
    got = [g for g in p.gradient if not math.isnan(g)]
    broken = not math.isfinite(p.loss) or any(math.isinf(g) for g in got)
    return math.inf if broken else math.sqrt(sum(g * g for g in got))
