"""One experiment: remedies against the run as written on the same batches, what it shows, and whether it convicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from unstuck.diagnosis.model import Arm, Finding, Proof, Remedy
from unstuck.diagnosis.verdict import STUCK, Judgement, judge
from unstuck.remedies.treatment import CannotApply
from unstuck.replay.bench import Bench
from unstuck.replay.run import Played
from unstuck.tape.interpreter import CannotReplay

UPSTREAM = (
    "no-step", "graph-detached", "frozen-params", "optimizer-params", "unregistered-params",
    "optimizer-reset", "no-zero-grad", "loss-sign", "input-nonfinite", "input-degenerate", "label-range",
    "label-misaligned", "target-shape", "axes-swapped", "padding-unmasked", "wrong-loss", "double-activation",
    "missing-activation", "softmax-dim", "output-range", "feature-scale-mix", "input-offset", "input-scale",
    "target-scale", "not-shuffled", "class-imbalance", "bad-init", "no-nonlinearity", "batchnorm-misuse",
    "mode-error", "excess-dropout", "weight-decay-too-high", "scheduler-misuse", "saturated-output",
    "lr-too-high", "lr-too-low", "saturated-hidden", "dead-relu", "exploding-gradient", "vanishing-gradient",
    "under-capacity",
)  # fmt: skip
"""Causes before consequences: what stands earlier explains what stands later, not the other way round."""
OPTIMISATION = UPSTREAM.index("lr-too-high")
"""From here on: how it is trained, and with what. Before: what enters, what is asked for, how it is wired."""
MECHANICAL = {
    "no-step", "graph-detached", "frozen-params", "optimizer-params", "unregistered-params", "optimizer-reset",
    "no-zero-grad", "loss-sign",
}  # fmt: skip
"""Faults by which the program does not do what its text says: one that heals the run is a cause of it, even where
something else (a larger rate, another activation) makes up for it and more."""
MECHANISMS = {"saturated-output", "saturated-hidden", "dead-relu", "exploding-gradient", "vanishing-gradient"}
"""What happens inside a network that does not learn, whatever the reason: a cause where nothing upstream is one."""
SETTLED = 0.6
"""A run that reaches this skill learns; what a remedy adds to it is worth knowing, and no fault."""
CLOSE = 0.12
"""Remedies whose skills differ by less than this do the same good: the one further upstream is the cause."""
WORTH = 0.15
"""A remedy on a run that learns something must add this much skill to convict."""

Say = Callable[[str], None]
Suspect = tuple[Remedy, tuple[str, ...]]


@dataclass(frozen=True)
class Comparison:
    """One experiment."""

    remedies: tuple[Remedy, ...]
    faults: tuple[str, ...]
    judgement: Judgement | None
    played: Played | None
    why: str = ""
    share: float = 1.0
    """The part of the course it was played on."""

    @property
    def works(self) -> bool:
        """The run learns better with it, beyond doubt."""
        return self.judgement is not None and self.judgement.word in ("heals", "helps")

    @property
    def unknown(self) -> bool:
        """What the network is asked to do is not known: its skill is the share of the loss that is gone."""
        return self.played is not None and self.played.course.task.kind == "unknown"

    @property
    def skill(self) -> float:
        """Median skill with the remedies."""
        return self.judgement.treated if self.judgement else -1.0


@dataclass
class Conviction:
    """What the experiments settled."""

    chosen: Comparison | None = None
    tried: list[Comparison] = field(default_factory=list)

    @property
    def remedies(self) -> tuple[Remedy, ...]:
        """The smallest set that mends the run (empty where none does)."""
        return self.chosen.remedies if self.chosen else ()


def suspects(findings: Sequence[Finding]) -> list[Suspect]:
    """Every distinct remedy of the findings, most upstream fault first, with the faults it answers."""
    by_remedy: dict[Remedy, list[str]] = {}
    for finding in sorted(findings, key=lambda f: rank(f.fault)):
        for remedy in finding.remedies:
            by_remedy.setdefault(remedy, []).append(finding.fault)
    return [(remedy, tuple(dict.fromkeys(faults))) for remedy, faults in by_remedy.items()]


def rank(fault: str) -> int:
    """How far upstream a fault stands (0 is furthest)."""
    return UPSTREAM.index(fault) if fault in UPSTREAM else len(UPSTREAM)


def compare(bench: Bench, remedies: tuple[Remedy, ...], faults: tuple[str, ...], share: float = 1.0) -> Comparison:
    """One experiment against the run as written, over the first `share` of the course."""
    try:
        played, written = bench.treat(remedies, share), bench.untreated(share)
    except (CannotApply, CannotReplay) as reason:
        return Comparison(remedies, faults, None, None, str(reason))
    alike = min(played.passes, written.passes)  # a play may have been given up
    skills = (one.first(alike).skill().tolist() for one in (written, played))
    return Comparison(remedies, faults, judge(*skills), played, share=share)


def convicts(comparison: Comparison) -> bool:
    """Whether an experiment is strong enough to name a cause."""
    verdict = comparison.judgement
    if verdict is None or not comparison.works:
        return False
    if comparison.unknown and verdict.treated <= STUCK:
        return False  # a loss that only rises less (one player's against another) says nothing of right and wrong
    return raised(verdict.without, verdict.treated) or (verdict.without < SETTLED and verdict.word == "heals")


def raised(before: float, after: float) -> bool:
    """Whether one skill is so far above another that this convicts: a run that learns anyhow must be raised further."""
    return after - before >= (WORTH if before < SETTLED else max(WORTH, 0.5 * (1 - before)))


def harms(comparison: Comparison) -> bool:
    return comparison.judgement is not None and comparison.judgement.word == "harms"


def mechanical(comparison: Comparison) -> bool:
    """It mends what the program does not do, and that heals the run."""
    verdict = comparison.judgement
    return verdict is not None and verdict.word == "heals" and bool(MECHANICAL & set(comparison.faults))


def whole(bench: Bench, done: Conviction, screened: Comparison, say: Say) -> Comparison:
    """The same experiment over the whole course, in the place of the screening."""
    say("over the whole tape: " + ", ".join(r.summary() for r in screened.remedies))
    full = compare(bench, screened.remedies, screened.faults)
    done.tried[done.tried.index(screened)] = full
    return full


def proof(comparison: Comparison, bench: Bench) -> Proof:
    """The experiment as the report holds it."""
    names = tuple(r.name for r in comparison.remedies)
    if comparison.played is None or comparison.judgement is None:
        return Proof(names, comparison.faults, "not-tried", comparison.why, means="none")
    verdict = comparison.judgement
    lanes = len(comparison.played.losses[0])
    why = f"median skill {verdict.without:.2f} without, {verdict.treated:.2f} with, over {lanes} lanes"
    return Proof(
        names, comparison.faults, verdict.word, why,
        lanes=lanes, steps=comparison.played.passes,
        without=arm(bench.untreated(comparison.share)), treated=arm(comparison.played), p=verdict.p,
    )  # fmt: skip


def arm(played: Played) -> Arm:
    """A play's curves (median over lanes) and final metric."""
    skill, loss = played.curve()
    metric = float(played.score().median()) if played.rows else None
    return Arm(tuple(skill.median(1).values.tolist()), tuple(loss.median(1).values.tolist()), metric)
