"""What a diagnosis is made of: plain frozen data, without torch. Every face is rendered from a `Diagnosis`."""

from __future__ import annotations

from statistics import median
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from unstuck.diagnosis.stages import Stage
from unstuck.tape.site import Site as Site

Severity = Literal["error", "warning", "hint"]
Role = Literal["cause", "consequence", "suspect", "hint"]
Word = Literal["heals", "helps", "no-difference", "harms", "undecided", "not-tried"]
State = Literal["learns-well", "below-headroom", "does-not-learn", "too-early", "unknown"]
Trust = Literal["safe", "likely", "advice"]
Status = Literal["fired", "quiet", "not-applicable"]

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
    role: Role = "hint"
    demonstrated: str = ""
    """Deprecated: see `known` and `effect`."""
    known: Known = "guessed"
    effect: Effect = Effect()
    settles: tuple[str, ...] = ()
    """Experiments with the recorded rows, by name, that can settle the effect ("halves", "mixed", "classes")."""
    stage: Stage = Stage.MECHANISM
    never_meant: bool = False
    leaves_nothing: bool = False
    """Of the rule: see `unstuck.rules.catalogue.Rule`. Filled in when the rule is asked."""
    origin: Literal["tape", "sweep"] = "tape"
    """What the rule read."""
    behind: tuple[Any, ...] = ()
    """Remedies of the patched run on whose tape it was found; () for the recorded run."""

    def __post_init__(self) -> None:  # until the pipeline reads `known` and `effect`
        sure = self.effect.because if self.effect.word == "proven" else self.message if self.known == "read" else ""
        if sure and not self.demonstrated:
            msgspec.structs.force_setattr(self, "demonstrated", sure)


class Arm(msgspec.Struct, frozen=True):
    """One side of a comparison: curves over the course (median over lanes), and where each lane ended."""

    skill: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    metric: float | None = None
    lanes: tuple[float, ...] = ()
    """Skill of each lane over the last quarter of the course."""

    @property
    def final(self) -> float:
        """Median skill of the lanes; -1 where nothing was played."""
        return median(self.lanes) if self.lanes else -1.0


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """The recording itself: the first entry of every log."""


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """Lanes trained on the recorded batches from the recorded first weights, over a share of the course."""

    share: float = 1.0


class Sweep(msgspec.Struct, frozen=True, tag="sweep"):
    """Many learning rates at once, each in a lane of its own."""


class Resample(msgspec.Struct, frozen=True, tag="resample"):
    """The recorded rows in other batches, or under another loss: "halves", "mixed", "classes"."""

    kind: str


class Rerun(msgspec.Struct, frozen=True, tag="rerun"):
    """The patched script, run for itself and recorded."""


class Recount(msgspec.Struct, frozen=True, tag="recount"):
    """What both scripts print and evaluate, held against each other: for faults that leave the training as it is."""


Means = Recorded | Replay | Sweep | Resample | Rerun | Recount


class Request(msgspec.Struct, frozen=True):
    """An experiment to be made."""

    means: Means
    remedies: tuple[Any, ...] = ()
    faults: tuple[str, ...] = ()
    behind: tuple[Any, ...] = ()
    """Remedies of the patched run whose tape this is about; () for the recorded run."""

    @property
    def key(self) -> tuple[object, ...]:
        """What makes two requests the same experiment: the faults it is made for are no part of it."""
        return type(self.means), self.means, self.remedies, self.behind


class Run(msgspec.Struct, frozen=True):
    """How one run of the script went: the recorded one, or that of a patched script."""

    ended: bool = True
    """It ran to its end or its budget, without an error."""
    skill: float | None = None
    """Over its last quarter; None where it never trained."""
    curve: tuple[float, ...] = ()
    score: float | None = None
    passes: int = 0
    task: str = "unknown"
    broke: bool = False
    """The loss became NaN or infinite."""
    adrift: bool = False
    """No task is known and the loss takes both signs: its size says nothing."""
    error: str = ""
    cut: bool = False
    """It was stopped by the recorder's budget."""
    evaluation: float | None = None
    """Skill over the script's own last evaluation; None where it made none that can be scored."""

    @property
    def known(self) -> float:
        """The skill it ended with; 0 where it never trained, or broke on a task that is not known."""
        if self.skill is None or (self.task == "unknown" and self.broke):
            return 0.0
        return self.skill


class Experiment(msgspec.Struct, frozen=True):
    """An entry of the log: what was tried, and what it showed. One that failed says why."""

    request: Request
    word: Word
    why: str
    power: str = ""
    """On how much the word stands, and whether that was enough to show a difference."""
    lanes: int = 0
    steps: int = 0
    without: Arm = Arm()
    treated: Arm = Arm()
    p: float | None = None
    interval: tuple[float, float] | None = None
    """Of the difference in skill, 95 %."""
    seconds: float = 0.0
    judgeable: bool = True
    """Whether a falling loss of this run says anything of better and worse."""
    run: Run | None = None
    written: tuple[Any, ...] = ()
    """The remedies that found their place in the source."""
    files: tuple[tuple[str, str], ...] = ()
    """Texts of the patched script's changed files, by path."""
    asked: tuple[str, ...] = ()
    """Faults that were looked for again on what this experiment left: its tape, or its reading."""
    notes: tuple[str, ...] = ()

    @property
    def gain(self) -> float:
        """Difference of the median skills."""
        return self.treated.final - self.without.final

    @property
    def works(self) -> bool:
        """The run learns better with it, beyond doubt."""
        return self.word in ("heals", "helps")

    @property
    def played(self) -> bool:
        """It was made at all."""
        return self.word != "not-tried"

    @property
    def share(self) -> float:
        """The part of the course it was replayed on."""
        return self.request.means.share if isinstance(self.request.means, Replay) else 1.0


class Patch(msgspec.Struct, frozen=True):
    """The repair: whole files, and the unified diff that shows them, relative to the script's folder."""

    trust: Trust
    proven: bool
    diff: str
    remedies: tuple[str, ...] = ()
    files: tuple[FileChange, ...] = ()


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


class Headroom(msgspec.Struct, frozen=True):
    """What simple strong learners reach on the recorded rows, beside the run."""

    metric: str
    run: float
    baseline: float
    by: str


class Recording(msgspec.Struct, frozen=True):
    """How much of the run was seen."""

    steps: int
    of: int | None = None
    cut_by: Literal["seconds", "steps"] | None = None


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
    seconds: dict[str, float] = {}

    @property
    def causes(self) -> tuple[Finding, ...]:
        """Findings whose effect on this run is proven."""
        return tuple(f for f in self.findings if f.role == "cause")

    @property
    def suspects(self) -> tuple[Finding, ...]:
        """Findings to look at whose effect is undecided."""
        return tuple(f for f in self.findings if f.role == "suspect")
