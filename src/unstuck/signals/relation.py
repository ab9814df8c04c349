"""Whether targets can be predicted from their rows at all: by two simple learners, without the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.ranking import ranks
from unstuck.signals.samples import Samples
from unstuck.signals.task import alternate
from unstuck.tape.model import Tape

MOST = 1_000
"""Distinct rows that are used: both learners cost its cube."""
FEWEST = 80
"""Distinct rows below which chance hides a relation that a network could use."""
WIDEST = 4_096
"""Features above which rows are projected at random, which keeps their distances; and the largest vocabulary."""
NEIGHBOURS = 5
RIDGE = 1.0
SHUFFLES = 40
"""Random orders of the targets: they give the standard deviation of chance to about 11 %."""


@dataclass(frozen=True)
class Relation:
    """Agreement of leave-one-out predictions with the targets, in standard deviations from shuffled targets."""

    rows: int
    features: int
    neighbours: float
    """Majority, or mean, of the nearest rows."""
    linear: float
    """A ridge regression on the standardised rows."""

    @property
    def strength(self) -> float:
        """The larger of the two; to be wrong clearly more often than by chance takes a relation too."""
        return max(abs(self.neighbours), abs(self.linear))

    @classmethod
    def read(cls, tape: Tape) -> Relation:
        if alternate(tape):
            raise NotApplicable("several networks are trained in turn: their targets belong to no rows")
        rows = Samples.read(tape)
        first = _firsts(rows.group)[:MOST]
        if len(first) < FEWEST:
            raise NotApplicable(f"fewer than {FEWEST} distinct rows were recorded")
        x, y = _features(rows, first), _wanted(rows.targets[first], rows.classified)
        near, hat = _near(x), _hat(x)
        return cls(len(first), x.shape[1], _against_chance(near, y), _against_chance(hat, y))


def _firsts(group: Tensor) -> Tensor:
    """The first of each set of identical rows, evenly spaced if there are too many."""
    order = torch.arange(len(group)).flip(0)
    first = torch.empty(int(group.max()) + 1, dtype=torch.long).scatter_(0, group.flip(0), order)
    chosen = first.sort().values
    return chosen[:: max(1, len(chosen) // MOST)]


def _features(rows: Samples, first: Tensor) -> Tensor:
    parts = (part[first].double() for part in rows.parts)
    x = torch.cat([_counted(x) if looked else x for x, looked in zip(parts, rows.looked_up, strict=True)], 1)
    if x.shape[1] > WIDEST:
        x = x @ torch.randn(x.shape[1], 512, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    std = x.std(0)
    return (x - x.mean(0)) / torch.where(std > 1e-9, std, torch.ones_like(std))


def _counted(x: Tensor) -> Tensor:
    """(rows, kinds) how often each index occurs in each row."""
    kinds = int(x.max()) + 1
    if kinds > WIDEST or float(x.min()) < 0:
        raise NotApplicable(f"the vocabulary is larger than {WIDEST}")
    return torch.zeros(len(x), kinds, dtype=torch.float64).scatter_add_(1, x.long(), torch.ones_like(x))


def _wanted(targets: Tensor, classified: bool) -> Tensor:
    """(rows, columns) centred targets: one column per class, or the rank of the value."""
    if classified:
        kinds, number = torch.unique(targets, return_inverse=True)
        table = torch.nn.functional.one_hot(number, len(kinds)).double()
    else:
        table = ranks(targets).unsqueeze(1)
    return table - table.mean(0)


def _near(x: Tensor) -> Tensor:
    """(rows, rows) the weight of each row in the mean of another's nearest neighbours."""
    distance = torch.cdist(x, x).fill_diagonal_(float("inf"))
    nearest = distance.topk(NEIGHBOURS, largest=False).indices
    return torch.zeros_like(distance).scatter_(1, nearest, 1.0 / NEIGHBOURS)


def _hat(x: Tensor) -> Tensor:
    """(rows, rows) leave-one-out predictions of a ridge regression, by the shortcut for linear smoothers."""
    kernel = x @ x.T / x.shape[1]
    hat = torch.linalg.solve(kernel + RIDGE * torch.eye(len(x), dtype=x.dtype), kernel).T
    own = hat.diagonal().clone()
    return (hat - torch.diag(own)) / (1 - own).clamp(min=1e-6).unsqueeze(1)


def _against_chance(smoother: Tensor, y: Tensor) -> float:
    """Agreement of predictions and targets, in standard deviations from that of shuffled targets."""
    generator = torch.Generator().manual_seed(0)
    orders = [torch.arange(len(y)), *(torch.randperm(len(y), generator=generator) for _ in range(SHUFFLES))]
    wanted = torch.cat([y[order] for order in orders], dim=1)
    agreement = ((smoother @ wanted) * wanted).sum(0).reshape(len(orders), -1).sum(1)
    chance = agreement[1:]
    return float((agreement[0] - chance.mean()) / chance.std().clamp(min=1e-12))
