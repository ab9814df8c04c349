"""Stale gradients: those that one step has used, and the next one uses again because nothing cleared them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.reachability import taught_by
from unstuck.tape.model import Pass, Tape


@dataclass(frozen=True)
class StaleGradients:
    """For each step after an optimizer's first: whether it starts from gradients of the step before.

    Of several optimizers, the one with the largest share of such steps: each clears the gradients of its own weights.
    """

    optimizer: int
    steps: int
    kept: int
    """Steps before which the old gradient of some weight was never cleared."""
    weights: tuple[str, ...]
    """The weights with stale gradients."""

    @property
    def share(self) -> float:
        """Of the steps."""
        return self.kept / self.steps

    @classmethod
    def read(cls, tape: Tape) -> StaleGradients:
        holders = {p.name: p.optimizer for p in tape.parameters if p.optimizer >= 0}
        found = [cls._of(number, list(_pairs(tape, number, holders))) for number in range(len(tape.optimizers))]
        if not any(one.steps for one in found):
            raise NotApplicable("fewer than two steps were recorded")
        return max((one for one in found if one.steps), key=lambda one: one.share)

    @classmethod
    def _of(cls, number: int, pairs: list[frozenset[str]]) -> StaleGradients:
        weights = dict.fromkeys(name for names in pairs for name in names)
        return cls(number, len(pairs), sum(bool(names) for names in pairs), tuple(weights))


def _pairs(tape: Tape, number: int, holders: dict[str, int]) -> Iterator[frozenset[str]]:
    """For each two consecutive updates of one optimizer with a backward between them: the weights never cleared.

    A closure that is called several times per step (LBFGS) is left out: its gradients are not the next step's.
    """
    mine = {name for name, holder in holders.items() if holder == number}
    reads = {n: mine & taught_by(p) for n, p in enumerate(tape.programs)}
    afters = [(_end(tape, at), u.closure) for at, u in enumerate(tape.updates) if u.optimizer == number]
    for (before, _), (after, closure) in pairwise(afters):
        between = [p for p in tape.passes[before:after] if reads[p.program]]
        if between and (len(between) == 1 or not closure):
            yield _never_cleared(between, reads)


def _end(tape: Tape, at: int) -> int:
    """How many passes came before the end of an update; a closure makes its own, before the next update."""
    later = at + tape.updates[at].closure
    return tape.updates[later].after if later < len(tape.updates) else len(tape.passes)


def _never_cleared(between: list[Pass], reads: Mapping[int, set[str] | frozenset[str]]) -> frozenset[str]:
    stale = [name for name in between[0].stale if name in reads[between[0].program]]
    return frozenset(n for n in stale if all(n in p.stale for p in between if n in reads[p.program]))
