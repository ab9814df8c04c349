"""Convict: try the remedies of the suspects by replay, and name the smallest set that mends the run.

Upstream faults come first: where the inputs' units and the learning rate would each mend a run alone, the units are the
cause, for the rate was right for what the person thought the inputs were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from unstuck.diagnosis import Arm, Finding, Proof, Remedy
from unstuck.lower import CannotReplay
from unstuck.remedy import CannotApply
from unstuck.replay.bench import BEGINNING, Bench
from unstuck.replay.play import Played
from unstuck.verdict import STUCK, Judgement, judge

UPSTREAM = (
    "no-step", "graph-detached", "frozen-params", "optimizer-params", "unregistered-params",
    "optimizer-reset", "no-zero-grad", "loss-sign", "input-nonfinite", "input-degenerate", "label-range",
    "label-misaligned", "target-shape", "axes-swapped", "wrong-loss", "double-activation",
    "missing-activation", "softmax-dim", "output-range", "feature-scale-mix", "input-offset", "input-scale",
    "target-scale", "not-shuffled", "class-imbalance", "bad-init", "no-nonlinearity", "batchnorm-misuse",
    "mode-error", "excess-dropout", "weight-decay-too-high", "scheduler-misuse", "saturated-output",
    "lr-too-high", "lr-too-low", "saturated-hidden", "dead-relu", "exploding-gradient", "vanishing-gradient",
    "under-capacity",
)  # fmt: skip
"""Causes before consequences: what stands earlier explains what stands later, not the other way round."""
MECHANICAL = {
    "no-step", "graph-detached", "frozen-params", "optimizer-params", "unregistered-params", "optimizer-reset",
    "no-zero-grad", "loss-sign",
}  # fmt: skip
"""Faults by which the program does not do what its text says: one that heals the run is a cause of it, even where
something else (a larger rate, another activation) makes up for it and more."""
SETTLED = 0.6
"""A run that reaches this skill learns; what a remedy adds to it is worth knowing, and no fault."""
WORTH = 0.15
"""A remedy on a run that learns something must add this much skill to convict."""
CLOSE = 0.12
"""Remedies whose skills differ by less than this do the same good: the one further upstream is the cause."""
ENOUGH = 0.85
"""A set that brings a run to this skill is not widened, and nothing else is tried."""
SCREEN = BEGINNING
"""The part of the course on which suspects are screened."""
RISE = 0.03
"""Skill gained between the last two sevenths of the tape by a run that is still rising."""
SLOW = 3
"""Suspects that get the whole tape although the screening showed nothing."""
SET = 4
"""Remedies tried together at most."""
LEAST_LOSS = 0.05
"""A remedy whose absence costs less skill than this is not part of the set."""
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
    share: float = 1.0
    """The part of the course it was played on."""

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


class Ahead(Protocol):
    """The patched script of a promising experiment, begun while the replay is still at work."""

    def begin(self, comparison: Comparison) -> None:
        """Begin to run it; it will probably be asked for."""

    def settles(self, comparison: Comparison) -> bool:
        """Whether it learns so well that nothing further downstream needs to be tried. Waits for its end."""

    def outdoes(self, comparison: Comparison) -> bool:
        """Whether it settles, and the recorded run had come nowhere near by its own end. Waits for its end."""


Say = Callable[[str], None]
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


def convict(
    bench: Bench,
    findings: Sequence[Finding],
    say: Say = lambda _: None,
    before: Conviction | None = None,
    ahead: Ahead | None = None,
) -> Conviction:
    """Screen each suspect on the first part of the tape, play the best to its end, combine where that is not enough.

    The first that convicts stands furthest upstream: where its patched script learns well too, it is the cause.
    `before` holds earlier experiments on the same bench: they are not made again.
    """
    done = before or Conviction()
    if bench.why or _unjudgeable(bench):
        return done
    known, asked = {c.remedies for c in done.tried}, before is not None or ahead is None
    for remedy, faults in suspects(findings)[:MOST]:
        if (remedy,) in known:
            continue
        say(f"trying: {remedy.summary()}")
        done.tried.append(screened := compare(bench, (remedy,), faults, SCREEN))
        if convicts(screened) and screened.skill >= ENOUGH:
            if ahead is not None:
                ahead.begin(screened)
            break  # nothing further downstream could take its place
        if ahead is not None and not asked and _promises(screened):
            asked = True
            if (settled := _settled(bench, screened, ahead, say)) is not None:
                done.tried[-1] = done.chosen = settled
                return done
    done.chosen = _widened(bench, _finalist(bench, done, say, ahead), done, say)
    return done


def _promises(screened: Comparison) -> bool:
    """It may well be the cause: it convicts already, or would if its lanes agreed a little better."""
    return convicts(screened) or (screened.judgement is not None and screened.judgement.gain >= WORTH)


def _settled(bench: Bench, screened: Comparison, ahead: Ahead, say: Say) -> Comparison | None:
    """The experiment over the whole course, where it convicts there too and the patched script agrees."""
    ahead.begin(screened)
    say("over the whole tape: " + ", ".join(r.summary() for r in screened.remedies))
    full = compare(bench, screened.remedies, screened.faults)
    return full if convicts(full) and ahead.settles(full) else None


def _unjudgeable(bench: Bench) -> bool:
    """A loss without a known task (a policy's, one of two players') that falls says nothing about better or worse."""
    return bench.task.kind == "unknown" and float(bench.written.skill().median()) > STUCK


def _finalist(bench: Bench, done: Conviction, say: Say, ahead: Ahead | None) -> Comparison | None:
    """The best of the screened, once it has held over the whole tape; where none has shown, the slow ones' chance.

    What heals within the screening is not played further where the patched script, run to its own end, agrees.
    """
    working = [c for c in done.tried if convicts(c)]
    if not working:
        slow = [c for c in done.tried if c.played is not None and c.share < 1.0 and not _harms(c)]
        if slow and ahead is not None:
            ahead.begin(slow[0])
        working = list(islice((full for c in slow[:SLOW] if convicts(full := _whole(bench, done, c, say))), 1))
    while (best := _best(working)) is not None:
        if best.share == 1.0 or (ahead is not None and best.skill >= ENOUGH and ahead.outdoes(best)):
            return best
        full = _whole(bench, done, best, say)
        working = [c for c in working if c is not best] + ([full] if convicts(full) else [])
    return None


def _whole(bench: Bench, done: Conviction, screened: Comparison, say: Say) -> Comparison:
    """The same experiment over the whole course, in the place of the screening."""
    say("over the whole tape: " + ", ".join(r.summary() for r in screened.remedies))
    full = compare(bench, screened.remedies, screened.faults)
    done.tried[done.tried.index(screened)] = full
    return full


def _harms(comparison: Comparison) -> bool:
    return comparison.judgement is not None and comparison.judgement.word == "harms"


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
    return raised(verdict.without, verdict.treated) or (verdict.without < SETTLED and verdict.word == "heals")


def raised(before: float, after: float) -> bool:
    """Whether one skill is so far above another that this convicts: a run that learns anyhow must be raised further."""
    return after - before >= (WORTH if before < SETTLED else max(WORTH, 0.5 * (1 - before)))


def _best(working: list[Comparison]) -> Comparison | None:
    working = [c for c in working if _mechanical(c)] or working
    if not working:
        return None
    top = max(c.skill for c in working)
    close = [c for c in working if c.skill >= top - CLOSE * max(1.0, top)]
    return min(close, key=lambda c: (min(rank(f) for f in c.faults), -c.skill))


def _mechanical(comparison: Comparison) -> bool:
    """It mends what the program does not do, and that heals the run."""
    verdict = comparison.judgement
    return verdict is not None and verdict.word == "heals" and bool(MECHANICAL & set(comparison.faults))


def _widened(bench: Bench, best: Comparison | None, done: Conviction, say: Say) -> Comparison | None:
    """Where one remedy is not enough: all that do not exclude each other, less those that turn out not to be needed."""
    if best is not None and (best.skill >= ENOUGH or _rising(best)):
        return best
    others = [c for c in done.tried if c.played is not None and not _harms(c) and len(c.remedies) == 1]
    if best is not None:  # what stands further downstream than the cause must have shown an effect of its own
        others = [c for c in others if c.works or min(map(rank, c.faults)) < min(map(rank, best.faults))]
    together = list(best.remedies) if best else []
    faults = set(best.faults) if best else set()
    for c in others:
        if len(together) < SET and not faults & set(c.faults) and c.remedies[0].name not in {r.name for r in together}:
            together += c.remedies
            faults |= set(c.faults)
    if len(together) < 2 or (best and len(together) == len(best.remedies)):
        return best
    whole = _tried(bench, tuple(together), done, say)
    better = convicts(whole) if best is None else _adds(best, whole)
    return _pruned(bench, whole, best, done, say) if better else best


def _rising(comparison: Comparison) -> bool:
    """It heals, and is still getting better where the tape ends: time will do the rest."""
    if comparison.played is None or comparison.judgement is None or comparison.judgement.word != "heals":
        return False
    late, end = (float(comparison.played.skill(a, b).median()) for a, b in ((0.7, 0.85), (0.85, 1.0)))
    return end - late >= RISE


def _tried(bench: Bench, remedies: tuple[Remedy, ...], done: Conviction, say: Say) -> Comparison:
    say("trying together: " + ", ".join(r.summary() for r in remedies))
    faults = tuple(dict.fromkeys(f for r in remedies for c in done.tried if c.remedies == (r,) for f in c.faults))
    done.tried.append(compare(bench, remedies, faults))
    return done.tried[-1]


def _pruned(bench: Bench, whole: Comparison, best: Comparison | None, done: Conviction, say: Say) -> Comparison:
    """The smallest subset that does as well: each remedy is left out in turn, the most downstream first."""
    kept, needed = whole, {c.remedies[0] for c in done.tried if len(c.remedies) == 1 and _mechanical(c)}
    for remedy in sorted(whole.remedies, key=lambda r: -_rank_of(done, r)):
        fewer = tuple(r for r in kept.remedies if r != remedy)
        if (best is not None and fewer == best.remedies) or not fewer or remedy in needed:
            continue
        without = _tried(bench, fewer, done, say) if len(fewer) > 1 else _alone(bench, fewer[0], done, say)
        if without.skill >= kept.skill - LEAST_LOSS:
            kept = without
    return kept


def _alone(bench: Bench, remedy: Remedy, done: Conviction, say: Say) -> Comparison:
    single = next(c for c in done.tried if c.remedies == (remedy,))
    return single if single.share == 1.0 else _whole(bench, done, single, say)


def _rank_of(done: Conviction, remedy: Remedy) -> int:
    return min((rank(f) for c in done.tried if c.remedies == (remedy,) for f in c.faults), default=len(UPSTREAM))


def _adds(best: Comparison, wider: Comparison) -> bool:
    if wider.played is None or best.played is None:
        return False
    step = judge(best.played.skill().tolist(), wider.played.skill().tolist())
    return step.word in ("heals", "helps") and step.gain >= WORTH


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
