"""The result of a trial: plain frozen data, without torch."""

from __future__ import annotations

from typing import Literal

import msgspec

Better = Literal["higher", "lower", "unknown"]
Word = Literal["heals", "helps", "no-difference", "harms", "undecided"]
FORMAT = 1


class Measure(msgspec.Struct, frozen=True):
    """What the programs are compared by."""

    name: str
    """The words before the printed number, or "skill" for the tape's own score."""
    line: str
    """The line it stands in, with # in the place of numbers ("" for skill)."""
    better: Better
    because: str
    """How that is known."""
    scale: str
    """What a difference is measured in: "share", "per cent", "ratio" (of logarithms) or "size"."""


class Pair(msgspec.Struct, frozen=True):
    """One run of each program from the same seeds; None where it gave no number."""

    shift: int
    """What was added to the seeds that the script sets."""
    original: float | None
    changed: float | None


class Trial(msgspec.Struct, frozen=True):
    """What became of a change."""

    script: str
    change: str
    word: Word
    why: str
    measure: Measure | None = None
    pairs: tuple[Pair, ...] = ()
    most: int = 0
    """Pairs at which it would have ended in any case."""
    difference: float | None = None
    """Mean of changed minus original, on the scale; higher is better."""
    interval: tuple[float, float] | None = None
    """95 %, valid at whichever pair the trial ends."""
    p: float | None = None
    worth: float = 0.0
    """The difference worth having."""
    seeds: dict[str, int] = {}
    """Calls of the script that set a seed, and how often; each got a shifted one."""
    contained: str = ""
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def better(self) -> bool:
        """Whether the change is beyond doubt an improvement."""
        return self.word in ("heals", "helps")
