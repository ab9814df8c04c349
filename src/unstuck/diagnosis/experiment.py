"""Experiments: what can be asked for, and what an entry of the log holds. Plain frozen data, without torch."""

from __future__ import annotations

from statistics import median
from typing import Any, Literal

import msgspec

Word = Literal["heals", "helps", "no-difference", "harms", "undecided", "not-tried"]


class Arm(msgspec.Struct, frozen=True):
    """One side of a comparison: curves over the course (median over lanes), and where each lane ended."""

    skill: tuple[float, ...] = ()
    loss: tuple[float, ...] = ()
    metric: float | None = None
    lanes: tuple[float, ...] = ()
    """Skill of each lane over the last quarter of the course."""

    @property
    def final(self) -> float:
        """Median skill of the lanes; -1 if nothing was replayed."""
        return median(self.lanes) if self.lanes else -1.0


class Headroom(msgspec.Struct, frozen=True):
    """What simple strong learners reach on the recorded rows, each asked about rows it was not trained on."""

    metric: str
    run: float
    """The run's own: on the rows of its last evaluation if they are asked about, else on each batch before its update,
    most of which it had trained on before."""
    baseline: float
    """The best learner's."""
    by: str
    interval: tuple[float, float] = (0.0, 0.0)
    """Of the baseline, 95 %."""
    gain: tuple[float, float] = (0.0, 0.0)
    """Of the difference in skill, baseline - run, 95 %."""
    constant: float | None = None
    """The best constant answer's."""
    control: float | None = None
    """The best learner's where the targets it trains on are shuffled; None where no time was left."""
    learners: dict[str, float] = {}
    rows: int = 0
    """Rows asked about."""
    held: bool = False
    """They are those of the script's own last evaluation: both answer the same rows."""

    def skill(self, score: float) -> float:
        """A score on the scale of skill: 0 for the best constant answer, 1 for perfection."""
        base = self.constant or 0.0
        return max(-1.0, (score - base) / max(1 - base, 1e-9))


class Gap(msgspec.Struct, frozen=True):
    """Training rows are learnt, and those of the script's own last evaluation are not."""

    metric: str
    training: float
    held_out: float


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """The recording itself: the first entry of every log."""


class Replay(msgspec.Struct, frozen=True, tag="replay"):
    """Lanes trained on the recorded batches from the recorded first weights, over a share of the course."""

    share: float = 1.0
    held: bool = False
    """Scored on the rows of the script's own last evaluation that were not trained on, after the last step."""


class Sweep(msgspec.Struct, frozen=True, tag="sweep"):
    """Many learning rates at once, each in a lane of its own."""


class Resample(msgspec.Struct, frozen=True, tag="resample"):
    """The recorded rows in other batches, or under another loss: "halves", "mixed", "classes"."""

    kind: str


class Micro(msgspec.Struct, frozen=True, tag="micro"):
    """A micro-experiment: a question to one or two recorded steps, by the name of its module in `unstuck.micro`."""

    kind: str


class Rerun(msgspec.Struct, frozen=True, tag="rerun"):
    """The patched script, run for itself and recorded."""


class Baseline(msgspec.Struct, frozen=True, tag="baseline"):
    """Simple learners on the recorded rows, beside the run: what the rows hold."""


class Recount(msgspec.Struct, frozen=True, tag="recount"):
    """What both scripts print and evaluate, compared: for a fault that leaves the training as it is."""

    fault: str


Means = Recorded | Replay | Sweep | Resample | Micro | Rerun | Recount | Baseline


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


HELD_OUT = "rows not trained on"


class PrintedScore(msgspec.Struct, frozen=True):
    """A score that the script printed."""

    label: str
    value: float
    """As printed."""
    skill: float
    """0 for the best constant answer on the training targets, 1 for perfection; never below -1."""
    file: str = ""
    line: int | None = None
    rows: str = ""
    """What it was computed from: "training batches", "rows trained on", "rows not trained on"; "" if unknown."""
    confirmed: bool = False
    """The answers recorded in its own evaluations give it."""

    @property
    def held_out(self) -> bool:
        """Whether it is certain to be a score of rows that were not trained on."""
        return self.confirmed and self.rows == HELD_OUT

    @property
    def of_training(self) -> bool:
        """Whether it was computed from rows trained on: then it says nothing of others."""
        return self.rows in ("training batches", "rows trained on")

    def __str__(self) -> str:
        return f"{self.label} {self.value:g}"


class Scores(msgspec.Struct, frozen=True):
    """Three numbers that never stand for each other; None where unknown."""

    training: float | None = None
    """On each batch before its own update, over the last quarter of the run."""
    held_out: float | None = None
    """On the rows of the script's last evaluation that were not trained on, as the network answered there."""
    printed: PrintedScore | None = None
    """What the script says of itself: the last score that it printed."""


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
    turns: bool = False
    """Several optimizers step in turn, each on weights of its own (a GAN): no score says how well the run does."""
    flat: bool = False
    """All recorded targets are equal: the constant answer is perfect, and no score says how well the run does."""
    error: str = ""
    cut: bool = False
    """It was stopped by the recorder's budget."""
    seeded: bool = True
    """The script sets a seed: another run of it differs by what was changed, and not by chance."""
    warming: bool = False
    """It was stopped while its schedule still raised the learning rate."""
    evaluation: float | None = None
    """Skill over the script's own last evaluation; None where it made none that can be scored."""
    scores: Scores = Scores()
    ranks: float | None = None
    """Area under the ROC curve where its outputs tell two classes apart beyond chance; else None."""

    @property
    def judged(self) -> bool:
        """Whether its score says how well it does."""
        return self.skill is not None and self.task != "unknown" and not self.turns and not self.flat

    @property
    def unjudged(self) -> str:
        """Why its score does not say how well it does ("" where it does, or where nothing was trained)."""
        if self.skill is None or self.judged:
            return ""
        if self.turns:
            return "several optimizers step in turn, each on weights of its own"
        if self.flat:
            return "all recorded targets are equal"
        return "its loss does not compare an answer for each row with a target that belongs to that row"

    @property
    def known(self) -> float:
        """The skill it ended with; 0 where it never trained, or broke on a task that is not known."""
        if self.skill is None or (self.task == "unknown" and self.broke):
            return 0.0
        return self.skill

    @property
    def shown(self) -> float:
        """What it is known to have learnt: the lower of its skill on its batches and of what it shows after them.

        That is the score that it prints; where it prints none, or one of rows trained on, its last evaluation.
        """
        printed = self.scores.printed
        told = [printed.skill] if printed is not None else []
        if self.evaluation is not None and (printed is None or printed.of_training):
            told.append(self.evaluation)
        return min((self.known, *told))


class OwnNumber(msgspec.Struct, frozen=True):
    """The last number that both scripts print under the same words, which say which way it is better; where none do,
    the last number at all, with a `gain` of 0."""

    words: str
    before: float
    after: float
    gain: float
    """On a scale on which a difference of 0.05 is worth having, whatever the number is."""
    heals: bool
    """It is at least half of the way to perfection better."""
    moved: str = ""
    """A later number whose words do not say which way it is better, if it is twice or half of what it was."""

    def __str__(self) -> str:
        return f"the script prints {self.words} {self.before:.6g} before, {self.after:.6g} after"


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
    short: bool = False
    """It showed that the run as written learns in a few times as many steps."""
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
    arguments: tuple[str, ...] = ()
    """The command line of the patched script, where it is another than the recorded one."""
    environment: tuple[tuple[str, str], ...] = ()
    """Variables of the environment that are set for it."""
    headroom: Headroom | None = None
    """Of a baseline."""
    contained: str = ""
    """Of a patched script that was run: the means of containment, "namespaces" or "landlock", or "none"."""
    statements: tuple[Any, ...] = ()
    """What a micro-experiment shows, as `unstuck.diagnosis.model.Statement`s."""
    numbers: dict[str, float] = {}
    """What it measured, by name."""
    own: OwnNumber | None = None
    """Of a patched script that was run: what the person looks at, where it says which way is better."""

    @property
    def gain(self) -> float:
        """Difference of the median skills."""
        return self.treated.final - self.without.final

    @property
    def works(self) -> bool:
        """The run learns better with it, beyond doubt."""
        return self.word in ("heals", "helps")

    @property
    def made(self) -> bool:
        """It was made at all."""
        return self.word != "not-tried"

    @property
    def share(self) -> float:
        """The part of the course it was replayed on."""
        return self.request.means.share if isinstance(self.request.means, Replay) else 1.0
