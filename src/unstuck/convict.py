"""Convict: try the remedies of the suspects by replay, and name the smallest set that mends the run.

Upstream faults come first: where the inputs' units and the learning rate would each mend a run alone, the units are the
cause, for the rate was right for what the person thought the inputs were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from unstuck.diagnosis import Arm, Finding, Proof, Remedy
from unstuck.lower import CannotReplay
from unstuck.remedy import CannotApply
from unstuck.replay.bench import Bench
from unstuck.replay.play import Played
from unstuck.verdict import Judgement, judge

UPSTREAM = (
    "no-step", "graph-detached", "frozen-params", "optimizer-params", "unregistered-params", "optimizer-reset", "no-zero-grad",
    "loss-sign", "input-nonfinite", "input-degenerate", "label-range", "label-misaligned", "target-shape", "axes-swapped",
    "wrong-loss", "double-activation", "missing-activation", "softmax-dim", "output-range",
    "feature-scale-mix", "input-offset", "input-scale", "target-scale", "not-shuffled", "class-imbalance",
    "bad-init", "no-nonlinearity", "batchnorm-misuse", "mode-error", "excess-dropout",
    "weight-decay-too-high", "scheduler-misuse", "saturated-output", "lr-too-high", "lr-too-low", "saturated-hidden",
    "dead-relu", "exploding-gradient", "vanishing-gradient", "under-capacity",
)  # fmt: skip
"""Causes before consequences: what stands earlier explains what stands later, not the other way round."""
SETTLED = 0.6
"""A run that reaches this skill learns; what a remedy adds to it is worth knowing, and no fault."""
WORTH = 0.15
"""A remedy on a run that learns something must add this much skill to convict."""
CLOSE = 0.12
"""Remedies whose skills differ by less than this do the same good: the one further upstream is the cause."""
ENOUGH = 0.85
"""A set that brings a run to this skill is not widened."""
MOST = 14
"""Remedies tried alone; further ones wait."""


@dataclass(frozen=True)
class Comparison:
    """One experiment."""

    remedies: tuple[Remedy, ...]
    faults: tuple[str, ...]
    judgement: Judgement | None
    played: Played | None
    why: str = ""

    @property
    def works(self) -> bool:
        """The run learns better with it, beyond doubt."""
        return self.judgement is not None and self.judgement.word in ("heals", "helps")

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


Suspect = tuple[Remedy, tuple[str, ...]]


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


def convict(bench: Bench, findings: Sequence[Finding], say: Callable[[str], None] = lambda _: None) -> Conviction:
    """Try every suspect alone, then combinations, and choose."""
    done = Conviction()
    if bench.written is None or bench.why:
        return done
    for remedy, faults in suspects(findings)[:MOST]:
        say(f"trying: {remedy.summary()}")
        done.tried.append(compare(bench, (remedy,), faults))
    best = _best([c for c in done.tried if convicts(bench, c)])
    done.chosen = _widened(bench, best, done, say)
    return done


def compare(
    bench: Bench, remedies: tuple[Remedy, ...], faults: tuple[str, ...], base: Played | None = None
) -> Comparison:
    """One experiment against the run as written (or against another play)."""
    assert bench.written is not None
    try:
        played = bench.treat(remedies)
    except (CannotApply, CannotReplay) as reason:
        return Comparison(remedies, faults, None, None, str(reason))
    without = (base or bench.written).skill().tolist()
    return Comparison(remedies, faults, judge(without, played.skill().tolist()), played)


def convicts(bench: Bench, comparison: Comparison) -> bool:
    """Whether an experiment is strong enough to name a cause."""
    verdict = comparison.judgement
    if verdict is None or not comparison.works:
        return False
    if verdict.without >= SETTLED:
        return verdict.gain >= WORTH and verdict.gain >= 0.5 * (1 - verdict.without)
    return verdict.word == "heals" or verdict.gain >= WORTH


def _best(working: list[Comparison]) -> Comparison | None:
    if not working:
        return None
    top = max(c.skill for c in working)
    close = [c for c in working if c.skill >= top - CLOSE * max(1.0, top)]
    return min(close, key=lambda c: (min(rank(f) for f in c.faults), -c.skill))


def _widened(bench: Bench, best: Comparison | None, done: Conviction, say: Callable[[str], None]) -> Comparison | None:
    """Add remedies while each addition still makes a clear difference; then drop what turned out not to be needed."""
    others = [c for c in done.tried if c.judgement is None or c.judgement.word != "harms"]
    chosen = best
    for _ in range(2):
        if chosen is not None and chosen.skill >= ENOUGH:
            break
        further = [c for c in others if c.played is not None and not _overlap(c, chosen)]
        wider = (
            [_with(bench, chosen, c, say) for c in sorted(further, key=lambda c: -c.skill)[:4]]
            if chosen or len(further) > 1
            else []
        )
        done.tried += wider
        better = _best([c for c in wider if _adds(bench, chosen, c)])
        if better is None:
            break
        chosen = better
    return chosen


def _overlap(one: Comparison, other: Comparison | None) -> bool:
    """Two answers to one fault are not tried together."""
    return other is not None and bool(
        {r.name for r in one.remedies} & {r.name for r in other.remedies} or set(one.faults) & set(other.faults)
    )


def _with(bench: Bench, chosen: Comparison | None, more: Comparison, say: Callable[[str], None]) -> Comparison:
    held = chosen.remedies if chosen else ()
    faults = tuple(dict.fromkeys((*(chosen.faults if chosen else ()), *more.faults)))
    say("trying together: " + ", ".join(r.summary() for r in (*held, *more.remedies)))
    return compare(bench, (*held, *more.remedies), faults)


def _adds(bench: Bench, chosen: Comparison | None, wider: Comparison) -> bool:
    if wider.played is None:
        return False
    if chosen is None or chosen.played is None:
        return convicts(bench, wider)
    step = judge(chosen.played.skill().tolist(), wider.played.skill().tolist())
    return step.word in ("heals", "helps") and step.gain >= WORTH


def proof(comparison: Comparison, bench: Bench) -> Proof:
    """The experiment as the report holds it."""
    names = tuple(r.name for r in comparison.remedies)
    if comparison.played is None or comparison.judgement is None or bench.written is None:
        return Proof(names, comparison.faults, "not-tried", comparison.why, means="none")
    verdict = comparison.judgement
    why = f"median skill {verdict.without:.2f} without, {verdict.treated:.2f} with, over {len(comparison.played.losses[0])} lanes"
    return Proof(
        names, comparison.faults, verdict.word, why,
        lanes=len(comparison.played.losses[0]), steps=comparison.played.passes,
        without=arm(bench.written), treated=arm(comparison.played), p=verdict.p,
    )  # fmt: skip


def arm(played: Played) -> Arm:
    """A play's curves (median over lanes) and final metric."""
    skill, loss = played.curve()
    metric = float(played.score().median()) if played.rows else None
    return Arm(tuple(skill.median(1).values.tolist()), tuple(loss.median(1).values.tolist()), metric)
