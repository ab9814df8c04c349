"""Gradients that a step has already used and that the next step uses again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.reachability import taught_by
from unstuck.tape.model import Pass, Tape


@dataclass(frozen=True)
class StaleGradients:
    """Per step after the first of each optimizer: did it start from the gradients of the one before?"""

    steps: int
    kept: int
    """Steps for which some weight's old gradient was never cleared between two updates."""
    weights: tuple[str, ...]
    """The weights it happened to."""

    @property
    def share(self) -> float:
        return self.kept / self.steps

    @classmethod
    def read(cls, tape: Tape) -> StaleGradients:
        holders = {p.name: p.optimizer for p in tape.parameters if p.optimizer >= 0}
        found = [pair for number in range(len(tape.optimizers)) for pair in _pairs(tape, number, holders)]
        if not found:
            raise NotApplicable("fewer than two steps were recorded")
        weights = dict.fromkeys(name for names in found for name in names)
        return cls(len(found), sum(bool(names) for names in found), tuple(weights))


def _pairs(tape: Tape, number: int, holders: dict[str, int]) -> Iterator[frozenset[str]]:
    """For each two updates of one optimizer with a backward between them: the weights never cleared between."""
    mine = {name for name, holder in holders.items() if holder == number}
    afters = [u.after for u in tape.updates if u.optimizer == number and not u.closure]
    reads = {n: mine & taught_by(p) for n, p in enumerate(tape.programs)}
    for before, after in pairwise(afters):
        between = [p for p in tape.passes[before:after] if reads[p.program]]
        if between:
            yield _never_cleared(between, reads)


def _never_cleared(between: list[Pass], reads: Mapping[int, set[str] | frozenset[str]]) -> frozenset[str]:
    stale = [name for name in between[0].stale if name in reads[between[0].program]]
    return frozenset(n for n in stale if all(n in p.stale for p in between if n in reads[p.program]))
