"""One tape under examination: what was asked for, what is known so far, and how much time is left."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import msgspec

from unstuck.diagnosis.comparison import UPSTREAM, Conviction, rank
from unstuck.diagnosis.model import Finding, Outcome, Proof
from unstuck.diagnosis.rerun import Rehearsals
from unstuck.replay.bench import Bench
from unstuck.signals.learning import Learning
from unstuck.source.text import Sources
from unstuck.tape.model import Tape

Say = Callable[[str], None]
HOPELESS = {"label-misaligned", "input-degenerate"}
"""Faults that leave nothing to learn but the single rows."""


@dataclass(frozen=True)
class Options:
    """What the person asked for, and how far to go for it."""

    prove: bool = True
    rounds: int = 3
    """How often a patched script is examined again for a fault that hid behind another."""
    rehearsals: int = 4
    """Patched scripts run per round at most."""
    seconds: float = 60.0
    """After this much time, the script's own included, no further experiment is begun."""


@dataclass(frozen=True)
class Moment:
    """When the examination began."""

    clock: float = field(default_factory=time.monotonic)
    worked: float = field(default_factory=lambda: sum(os.times()[:4]))

    def spent(self) -> float:
        """Seconds since, or our own and our children's work if that is less: a busy machine must not change a word."""
        return min(time.monotonic() - self.clock, sum(os.times()[:4]) - self.worked)


@dataclass
class Case:
    """One tape under examination."""

    tape: Tape
    sources: Sources
    options: Options
    say: Say
    rehearsals: Rehearsals
    began: Moment = field(default_factory=Moment)
    learning: Learning | None = None
    bench: Bench | None = None
    findings: list[Finding] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    conviction: Conviction = field(default_factory=Conviction)
    proofs: list[Proof] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def late(self) -> bool:
        """No time is left for another experiment."""
        return self.tape.seconds + self.began.spent() > self.options.seconds


def hopeless(findings: Sequence[Finding]) -> list[int]:
    """The ranks of faults that are shown, and that leave nothing to learn."""
    return [rank(f.fault) for f in findings if f.demonstrated and f.fault in HOPELESS]


def worthwhile(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, without remedies that a hopeless fault upstream makes pointless.

    Where the targets are shown to have nothing to do with the inputs, what stands downstream of that could only make
    the network learn them by heart sooner.
    """
    last = min(hopeless(findings), default=len(UPSTREAM))
    return [f if rank(f.fault) <= last else msgspec.structs.replace(f, remedies=()) for f in findings]
