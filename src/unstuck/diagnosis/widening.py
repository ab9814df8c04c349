"""Where one remedy is not enough: the smallest set of several that mends the run, by trying them together."""

from __future__ import annotations

from unstuck.diagnosis.comparison import (
    CLOSE,
    MECHANICAL,
    MECHANISMS,
    OPTIMISATION,
    UPSTREAM,
    WORTH,
    Comparison,
    Conviction,
    Say,
    compare,
    convicts,
    harms,
    mechanical,
    rank,
    whole,
)
from unstuck.diagnosis.model import Remedy
from unstuck.diagnosis.verdict import judge
from unstuck.replay.bench import Bench

ENOUGH = 0.85
"""A set that brings a run to this skill is not widened, and nothing else is tried."""
RISE = 0.03
"""Skill gained between the last two sevenths of the tape by a run that is still rising."""
SET = 4
"""Remedies tried together at most."""
LEAST_LOSS = 0.05
"""A remedy whose absence costs less skill than this is not part of the set."""


def widened(bench: Bench, best: Comparison | None, done: Conviction, say: Say) -> Comparison | None:
    """Where one remedy is not enough: all that do not exclude each other, less those that turn out not to be needed."""
    if best is not None and set(best.faults) <= MECHANISMS and (above := _above(bench, best, done, say)) is not None:
        return above
    if best is not None and (best.skill >= ENOUGH or _rising(best)):
        return best
    others = [c for c in done.tried if c.played is not None and not harms(c) and len(c.remedies) == 1]
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


def _above(bench: Bench, best: Comparison, done: Conviction, say: Say) -> Comparison | None:
    """What stands upstream of a mechanism, all together: where that does as much good, it is what set it going."""
    upstream = [c for c in done.tried if c.played is not None and not harms(c) and len(c.remedies) == 1]
    upstream = [c for c in upstream if not MECHANISMS & set(c.faults) and min(map(rank, c.faults)) < OPTIMISATION]
    if not any(c.works for c in upstream):
        return None
    together: list[Comparison] = []
    for c in sorted((c for c in upstream if c.works or MECHANICAL & set(c.faults)), key=lambda c: not c.works):
        if len(together) < SET and not any(set(c.faults) & set(other.faults) for other in together):
            together.append(c)
    if len(together) > 1:
        all_of_them = _tried(bench, tuple(r for c in together for r in c.remedies), done, say)
    else:
        all_of_them = _alone(bench, together[0].remedies[0], done, say)
    if not convicts(all_of_them) or all_of_them.skill < best.skill - CLOSE:
        return None
    return _pruned(bench, all_of_them, None, done, say)


def _rising(comparison: Comparison) -> bool:
    """It heals, and is still getting better where the tape ends: time will do the rest."""
    if comparison.played is None or comparison.judgement is None or comparison.judgement.word != "heals":
        return False
    late, end = (float(comparison.played.skill(a, b).median()) for a, b in ((0.7, 0.85), (0.85, 1.0)))
    return end - late >= RISE


def _tried(bench: Bench, remedies: tuple[Remedy, ...], done: Conviction, say: Say) -> Comparison:
    known = next((c for c in done.tried if set(c.remedies) == set(remedies) and c.share == 1.0), None)
    if known is not None:
        return known
    say("trying together: " + ", ".join(r.summary() for r in remedies))
    faults = tuple(dict.fromkeys(f for r in remedies for c in done.tried if c.remedies == (r,) for f in c.faults))
    done.tried.append(compare(bench, remedies, faults))
    return done.tried[-1]


def _pruned(bench: Bench, whole: Comparison, best: Comparison | None, done: Conviction, say: Say) -> Comparison:
    """The smallest subset that does as well: each remedy is left out in turn, the most downstream first."""
    kept, needed = whole, {c.remedies[0] for c in done.tried if len(c.remedies) == 1 and mechanical(c)}
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
    return single if single.share == 1.0 else whole(bench, done, single, say)


def _rank_of(done: Conviction, remedy: Remedy) -> int:
    return min((rank(f) for c in done.tried if c.remedies == (remedy,) for f in c.faults), default=len(UPSTREAM))


def _adds(best: Comparison, wider: Comparison) -> bool:
    if wider.played is None or best.played is None:
        return False
    step = judge(best.played.skill().tolist(), wider.played.skill().tolist())
    return step.word in ("heals", "helps") and step.gain >= WORTH
