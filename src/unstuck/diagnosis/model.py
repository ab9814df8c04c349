"""What a diagnosis is made of: plain frozen data, no torch, and its JSON.

Everything here can be written down and read back: a `Report` is what every face is rendered from.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

Severity = Literal["error", "warning", "hint"]
Role = Literal["cause", "consequence", "suspect", "hint"]
Word = Literal["heals", "helps", "no-difference", "harms", "not-tried"]
Trust = Literal["safe", "likely", "advice"]
Status = Literal["fired", "quiet", "not-applicable"]

FORMAT = 1
"""The version of the JSON a report is written as."""


class NotApplicable(Exception):
    """A reading or a rule has nothing to look at in this program; the message says why."""


class Site(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in the person's source: 1-based lines, 0-based columns, as in the syntax tree."""

    file: str
    line: int
    column: int = -1
    end_line: int = -1
    end_column: int = -1
    function: str = ""


class Evidence(msgspec.Struct, frozen=True):
    """One reading: what was measured, its value, and what a healthy program shows."""

    what: str
    measured: float | str | None
    expected: str


@runtime_checkable
class Remedy(Protocol):
    """A treatment, as plain data with two verbs: `apply` for the proof, `edit` for the patch (see remedy.py)."""

    name: ClassVar[str]
    trust: ClassVar[Trust]

    def summary(self) -> str: ...

    def apply(self, trial: Any) -> Any: ...

    def edit(self, sources: Any) -> Any: ...


Known = Literal["observed", "read", "guessed"]
"""How a fact is known: seen on the tape, read in the text, or guessed from a number past a threshold."""


class Effect(msgspec.Struct, frozen=True):
    """What a fact does to this run: proven or refuted by a measurement or an experiment, else undecided."""

    word: Literal["proven", "refuted", "undecided"] = "undecided"
    because: str = ""
    """The measurement that settles it, or why nothing does."""


def proven(because: str) -> Effect:
    """The effect of a fault that the tape itself shows (a wrong printed number, rows on both sides of a split)."""
    return Effect("proven", because)


class Finding(msgspec.Struct, frozen=True):
    """What one rule says: the fault's name, where it stands, what it means here, and what may mend it."""

    fault: str
    message: str
    site: Site | None = None
    evidence: tuple[Evidence, ...] = ()
    remedies: tuple[Any, ...] = ()
    severity: Severity = "hint"
    role: Role = "suspect"
    demonstrated: str = ""
    """Deprecated: see `known` and `effect`."""
    known: Known = "guessed"
    effect: Effect = Effect()
    settles: tuple[str, ...] = ()
    """Experiments with the recorded rows, by name, that can settle the effect ("halves", "mixed", "classes")."""

    def __post_init__(self) -> None:  # until the pipeline reads `known` and `effect`
        sure = self.effect.because if self.effect.word == "proven" else self.message if self.known == "read" else ""
        if sure and not self.demonstrated:
            msgspec.structs.force_setattr(self, "demonstrated", sure)


class Arm(msgspec.Struct, frozen=True):
    """One side of a comparison: skill per stretch of the tape (median over lanes), and the loss beside it."""

    skill: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    metric: float | None = None


class Proof(msgspec.Struct, frozen=True):
    """An experiment: these remedies against none, on the same batches, from the same weights."""

    remedies: tuple[str, ...]
    faults: tuple[str, ...]
    verdict: Word
    why: str
    lanes: int = 0
    steps: int = 0
    without: Arm = Arm()
    treated: Arm = Arm()
    p: float | None = None
    means: Literal["replay", "patched script", "none"] = "replay"


class Patch(msgspec.Struct, frozen=True):
    """The repair as a unified diff, relative to the script's folder."""

    trust: Trust
    proven: bool
    diff: str
    remedies: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """What became of one rule: so that a report also says what could not be examined."""

    fault: str
    status: Status
    reason: str = ""


class Metric(msgspec.Struct, frozen=True):
    """The task's yardstick on batches not yet trained on; None where unknown."""

    name: str
    constant: float | None = None
    as_written: float | None = None
    treated: float | None = None


class Report(msgspec.Struct, frozen=True):
    """Everything `unstuck run` found out."""

    script: str
    torch: str
    version: str
    steps: int
    stopped: str
    learns: bool | None
    metric: Metric | None = None
    findings: tuple[Finding, ...] = ()
    proofs: tuple[Proof, ...] = ()
    patch: Patch | None = None
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()
    verified: str = ""
    """What the patched script itself did in its own run ("" where none was made)."""
    seconds: dict[str, float] = {}

    @property
    def causes(self) -> tuple[Finding, ...]:
        """The findings that were convicted."""
        return tuple(f for f in self.findings if f.role == "cause")
