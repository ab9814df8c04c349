"""What a diagnosis is made of: plain frozen data, without torch. Every face is rendered from a `Diagnosis`."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from unstuck.diagnosis.experiment import Experiment, Scores
from unstuck.diagnosis.experiment import Gap as Gap
from unstuck.diagnosis.experiment import Headroom as Headroom
from unstuck.diagnosis.stages import Stage
from unstuck.tape.site import Site as Site

Severity = Literal["error", "warning", "hint"]
Role = Literal["cause", "consequence", "suspect", "hint"]
State = Literal["learns-well", "below-headroom", "does-not-learn", "too-early", "unknown"]
Trust = Literal["safe", "likely", "advice"]
Status = Literal["fired", "quiet", "not-applicable"]

Cut = Literal["seconds", "steps", "interrupt", "signal"]
"""What ended a recording: a budget, Ctrl-C, or the end of the whole process."""

FORMAT = 1
"""The version of the JSON a report is written as."""


class NotApplicable(Exception):
    """A reading or a rule has nothing to look at in this program; the message says why."""


class Evidence(msgspec.Struct, frozen=True):
    """One reading: what was measured, its value, and what a healthy program shows."""

    what: str
    measured: float | str | None
    expected: str


@runtime_checkable
class Remedy(Protocol):
    """A treatment as plain data: `apply` for the replay, `edit` for the patch (see remedies/treatment.py)."""

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
    role: Role = "hint"
    known: Known = "guessed"
    effect: Effect = Effect()
    settles: tuple[str, ...] = ()
    """Experiments with the recorded rows, by name, that can settle the effect ("halves", "mixed", "classes")."""
    stage: Stage = Stage.MECHANISM
    never_meant: bool = False
    leaves_nothing: bool = False
    """Of the rule: see `unstuck.rules.catalogue.Rule`. Filled in when the rule is asked; a rule may say both of one of
    its findings."""
    origin: str = "tape"
    """What the rule read: "tape", "sweep", the name of a micro-experiment, or "asked": a command of the person's.
    "battery": nothing is claimed; it is tried, and told only if an experiment proves it."""
    aside: bool = False
    """About the evaluation alone: the training is as it should be."""
    behind: tuple[Any, ...] = ()
    """Remedies of the patched run on whose tape it was found; () for the recorded run."""

    @property
    def certain(self) -> bool:
        """Whether it is a fact, and one that nobody means."""
        return self.never_meant and self.known != "guessed"


class Statement(msgspec.Struct, frozen=True):
    """A plain fact that a micro-experiment shows: neither a fault nor an accusation."""

    what: str
    """One clause without a full stop, the noun first."""
    site: Site | None
    experiment: str
    """The micro-experiment's name."""
    numbers: dict[str, float] = {}
    fault: str = ""
    """The fault that a rule names this by ("" where there is none): told only where no rule does."""
    alone: bool = False
    """It narrows down what a proven cause explains: told only where there is none."""
    proven: bool = False
    """Of a cause that was given from outside under no name of ours: its patch makes the run better beyond doubt."""


class Patch(msgspec.Struct, frozen=True):
    """The repair: whole files, and the unified diff that shows them, relative to the script's folder."""

    trust: Trust
    proven: bool
    diff: str
    remedies: tuple[str, ...] = ()
    files: tuple[FileChange, ...] = ()
    arguments: tuple[str, ...] = ()
    """What to write on the command line in the place of what stands there: `--lr 0.01`."""
    environment: dict[str, str] = {}
    """Variables to set."""
    cells: str = ""
    """Of a notebook, the diff of its cells; `diff` is that of its file."""

    @property
    def advice(self) -> str:
        """What to start the script with, as one would type it ("" where the files are all there is to change)."""
        variables = " ".join(f"{name}={value}" for name, value in self.environment.items())
        passed = " ".join(("pass", *self.arguments)) if self.arguments else ""
        return ", ".join(filter(None, (passed, f"set {variables}" if variables else "")))


class FileChange(msgspec.Struct, frozen=True):
    """One file of a patch: written only where the person's file is still the one that was diagnosed."""

    path: str
    before: str | None
    """SHA-256 of the file's bytes; None where there was no file."""
    after: str


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


class Recording(msgspec.Struct, frozen=True):
    """How much of the run was seen."""

    steps: int
    of: int | None = None
    cut_by: Cut | None = None
    seconds: float = 0.0
    """Seconds of training, long pauses left out."""
    processes: tuple[str, ...] = ()
    """Where the run had several processes: which were recorded, which were not, and what they show."""


class Diagnosis(msgspec.Struct, frozen=True):
    """Everything `unstuck run` found out."""

    script: str
    torch: str
    version: str
    steps: int
    stopped: str
    learns: bool | None
    state: State = "unknown"
    metric: Metric | None = None
    headroom: Headroom | None = None
    gap: Gap | None = None
    recorded: Recording | None = None
    findings: tuple[Finding, ...] = ()
    log: tuple[Experiment, ...] = ()
    """Without the recording itself."""
    decisive: int | None = None
    """Index into the log of the experiment that the verdict rests on."""
    patch: Patch | None = None
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()
    verified: str = ""
    """What the patched script itself did in its own run ("" where none was made)."""
    statements: tuple[Statement, ...] = ()
    """What micro-experiments show and no cause or suspect names."""
    seconds: dict[str, float] = {}
    scores: Scores = Scores()
    """The run's scores: on training batches, on rows held out, and as printed."""
    misled: bool = False
    """The training goes well, while the score that the script prints is at chance or below."""
    broke: bool = False
    """The loss became NaN or infinite."""
    unjudged: str = ""
    """Why no score says how well the run does ("" where one does, or where nothing was trained)."""

    @property
    def causes(self) -> tuple[Finding, ...]:
        """Findings whose effect on this run is proven."""
        return tuple(f for f in self.findings if f.role == "cause")

    @property
    def suspects(self) -> tuple[Finding, ...]:
        """Findings to look at whose effect is undecided."""
        return tuple(f for f in self.findings if f.role == "suspect")
