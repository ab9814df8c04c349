"""Rows that come back, and whether they bring the same target: a row read again an epoch later has its own label."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.ranking import ranks
from unstuck.signals.samples import SEVERAL, Samples
from unstuck.tape.model import Tape

FEWEST = 80
"""Rows read again below which chance hides how many keep their target."""
APART = 8
"""Distinct rows below which equal ones that come together in a batch are several rows: rows made equal have the targets
of all of them. Of more, batches drawn with replacement hold one row twice as well."""
COPIES = 3.0
"""Times chance from which on equal rows of one batch are copies of one, whose target tells nothing of others."""
TELLING = 6.0
"""Standard deviations between chance and rows that all keep their target, so that the two are told apart."""


@dataclass(frozen=True)
class Repeats:
    """Each row that was read again against the time before."""

    again: int
    kept: float
    """Share that kept its class; of numbers, 1 minus the mean distance of their ranks (0 to 1)."""
    chance: float
    """The same where targets were drawn anew for each row."""
    deviations: float
    """How far it kept them beyond chance, in standard deviations of chance."""
    reachable: float
    """How much of the way from the best constant prediction to perfection any function of these rows could go."""

    @classmethod
    def read(cls, tape: Tape) -> Repeats:
        samples = Samples.read(tape)
        together = samples.together
        if (samples.distinct < APART and not together < SEVERAL) or together > COPIES:
            raise NotApplicable("the rows are not told apart by what they hold")
        first, second = (samples.places[place] for place in _pairs(samples.group[samples.places]))
        if len(first) < FEWEST:
            raise NotApplicable(f"fewer than {FEWEST} rows were read again")
        kept, chance, spread = (_classes if samples.classified else _numbers)(samples.targets, first, second)
        error = spread / sqrt(len(first))
        if 1 - chance <= TELLING * error:
            raise NotApplicable("nearly all rows have one target")
        return cls(len(first), kept, chance, (kept - chance) / error, samples.reachable)


def _pairs(group: Tensor) -> tuple[Tensor, Tensor]:
    """Places of a row and of the same row read next."""
    order = group.sort(stable=True).indices
    same = group[order[1:]] == group[order[:-1]]
    return order[:-1][same], order[1:][same]


def _classes(targets: Tensor, first: Tensor, second: Tensor) -> tuple[float, float, float]:
    shares = targets.unique(return_counts=True)[1].double() / len(targets)
    chance = float((shares**2).sum())
    return float((targets[first] == targets[second]).double().mean()), chance, sqrt(chance * (1 - chance))


def _numbers(targets: Tensor, first: Tensor, second: Tensor) -> tuple[float, float, float]:
    """By ranks, of which equal values share one; those of unrelated values are 1/3 apart, with a variance of 1/18."""
    rank = ranks(targets.double())
    return 1 - float((rank[first] - rank[second]).abs().mean()), 2 / 3, sqrt(1 / 18)
