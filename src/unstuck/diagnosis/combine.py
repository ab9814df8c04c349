"""Where one remedy is not enough: the smallest set of several that heals the run, by trying them together."""

from __future__ import annotations

from collections.abc import Iterable

from unstuck.diagnosis.experiment import Experiment
from unstuck.diagnosis.model import Remedy
from unstuck.diagnosis.search import Search, is_effective, rewires, stage_of
from unstuck.diagnosis.skill import CLOSE, LEAST, WORTH, enough, rising
from unstuck.diagnosis.stages import Stage
from unstuck.diagnosis.verdict import judge

SET = 4
"""Remedies tried together at most."""


def combined(search: Search, best: Experiment | None) -> Experiment | None:
    """All remedies that do not exclude each other, less those that turn out not to be needed."""
    if best is not None and _only_mechanisms(search, best) and (above := _above(search, best)) is not None:
        return above
    if best is not None and (enough(best.treated.final) or (best.word == "heals" and rising(best.treated.skill))):
        return best
    for together in (_together([best] if best else [], _others(search, best)), _of_size(search)):
        if len(together) < 2:
            continue
        whole = _all_of(search, together)
        if is_effective(whole) if best is None else _adds(best, whole):
            return _pruned(search, whole, best)
    return best


def _only_mechanisms(search: Search, experiment: Experiment) -> bool:
    found = [f.stage for f in search.findings if f.fault in experiment.request.faults]
    return set(found) <= {Stage.MECHANISM}


def _singles(search: Search) -> list[Experiment]:
    return [e for e in search.tried if e.made and e.word != "harms"]


def _others(search: Search, best: Experiment | None) -> list[Experiment]:
    """What may be added: downstream of the best, only what has shown an effect of its own."""
    if best is None:
        return _singles(search)
    limit = stage_of(best, search.findings)
    return [e for e in _singles(search) if e.works or stage_of(e, search.findings) < limit]


def _of_size(search: Search) -> list[Experiment]:
    """Units and first weights, where one of them alone harms: large weights need the large targets that they answer."""
    sizes = [e for e in search.tried if e.made and stage_of(e, search.findings) in (Stage.UNITS, Stage.INIT)]
    return _together([], sizes) if any(e.word == "harms" for e in sizes) else []


def _together(begun: list[Experiment], others: Iterable[Experiment]) -> list[Experiment]:
    """Experiments whose remedies go together: no two of one name, no two for one fault."""
    chosen, count = list(begun), sum(len(e.request.remedies) for e in begun)
    for e in others:
        names = {r.name for c in chosen for r in c.request.remedies}
        faults = {f for c in chosen for f in c.request.faults}
        if count < SET and not faults & set(e.request.faults) and e.request.remedies[0].name not in names:
            chosen.append(e)
            count += 1
    return chosen


def _all_of(search: Search, parts: list[Experiment]) -> Experiment:
    remedies = tuple(r for e in parts for r in e.request.remedies)
    return search.replay(remedies, tuple(dict.fromkeys(f for e in parts for f in e.request.faults)))


def _above(search: Search, best: Experiment) -> Experiment | None:
    """What stands upstream of a mechanism, all together: where that does as much good, it is what set it going."""
    upstream = [e for e in _singles(search) if stage_of(e, search.findings) < Stage.OPTIMISATION]
    wired = [e for e in upstream if e.works or stage_of(e, search.findings) is Stage.WIRING]
    works = any(e.works for e in upstream)
    together = _together([], sorted(wired, key=lambda e: not e.works)) if works else _of_size(search)
    if not together:
        return None
    whole = _all_of(search, together) if len(together) > 1 else search.whole(together[0])
    if not is_effective(whole) or whole.treated.final < best.treated.final - CLOSE:
        return None
    return _pruned(search, whole, None)


def _pruned(search: Search, whole: Experiment, best: Experiment | None) -> Experiment:
    """The smallest subset that does as well: each remedy is left out in turn, the most downstream first."""
    needed = {e.request.remedies[0] for e in search.tried if rewires(e, search.findings)}
    kept = whole
    for remedy in sorted(whole.request.remedies, key=lambda r: -_stage_of_remedy(search, r)):
        fewer = tuple(r for r in kept.request.remedies if r != remedy)
        if not fewer or remedy in needed or (best is not None and fewer == best.request.remedies):
            continue
        without = search.replay(fewer, _faults(search, fewer))
        if without.treated.final >= kept.treated.final - LEAST:
            kept = without
    return kept


def _faults(search: Search, remedies: tuple[Remedy, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.fault for f in search.findings if set(remedies) & set(f.remedies)))


def _stage_of_remedy(search: Search, remedy: Remedy) -> Stage:
    return min((f.stage for f in search.findings if remedy in f.remedies), default=Stage.REPORTING)


def _adds(best: Experiment, wider: Experiment) -> bool:
    """Whether the wider set does clearly better than the best alone."""
    if not wider.treated.lanes:
        return False
    step = judge(best.treated, wider.treated, wider.steps)
    return step.word in ("heals", "helps") and step.gain >= WORTH
