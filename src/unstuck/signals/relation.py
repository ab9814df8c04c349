"""Whether rows and targets have anything to do with each other: by two simple learners, not by the network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.samples import Samples
from unstuck.tape.model import Tape

MOST = 1_000
"""Distinct rows that are looked at."""
FEWEST = 80
WIDEST = 4_096
NEIGHBOURS = 5
RIDGE = 1.0
SHUFFLES = 40
"""Random orders of the targets against which the real one is held."""


@dataclass(frozen=True)
class Relation:
    """How far each learner's success, every row left out in turn, lies from what shuffled targets give, in spreads."""

    rows: int
    features: int
    neighbours: float
    """Majority (or mean) of the nearest rows."""
    linear: float
    """A ridge regression on the standardised rows."""

    @property
    def strength(self) -> float:
        """The larger of the two; a success clearly below chance tells of a relation as well."""
        return max(abs(self.neighbours), abs(self.linear))

    @classmethod
    def read(cls, tape: Tape) -> Relation:
        rows = Samples.read(tape)
        first = _firsts(rows.group)[:MOST]
        if len(first) < FEWEST:
            raise NotApplicable("too few different rows were recorded to look for a relation")
        x, y = _features(rows, first), _wanted(rows.targets[first], rows.classified)
        near, hat = _near(x), _hat(x)
        return cls(len(first), x.shape[1], _against_chance(near, y), _against_chance(hat, y))


def _firsts(group: Tensor) -> Tensor:
    """The first row of each content, spread over all of them."""
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
    """How often each thing occurs in a row of their numbers."""
    kinds = int(x.max()) + 1
    if kinds > WIDEST or float(x.min()) < 0:
        raise NotApplicable("the inputs are numbers of more things than can be counted here")
    return torch.zeros(len(x), kinds, dtype=torch.float64).scatter_add_(1, x.long(), torch.ones_like(x))


def _wanted(targets: Tensor, classified: bool) -> Tensor:
    """(rows, columns), centred: one column per class, or the value."""
    if classified:
        kinds, number = torch.unique(targets, return_inverse=True)
        table = torch.nn.functional.one_hot(number, len(kinds)).double()
    else:
        ranked = targets.argsort().argsort().double()
        table = ranked.unsqueeze(1) / len(ranked)
    return table - table.mean(0)


def _near(x: Tensor) -> Tensor:
    """(rows, rows): what each row takes from its nearest others."""
    distance = torch.cdist(x, x).fill_diagonal_(float("inf"))
    nearest = distance.topk(NEIGHBOURS, largest=False).indices
    return torch.zeros_like(distance).scatter_(1, nearest, 1.0 / NEIGHBOURS)


def _hat(x: Tensor) -> Tensor:
    """(rows, rows): a ridge's prediction of each row from all the others (the left-out formula of linear smoothers)."""
    kernel = x @ x.T / x.shape[1]
    hat = torch.linalg.solve(kernel + RIDGE * torch.eye(len(x), dtype=x.dtype), kernel).T
    own = hat.diagonal().clone()
    return (hat - torch.diag(own)) / (1 - own).clamp(min=1e-6).unsqueeze(1)


def _against_chance(smoother: Tensor, y: Tensor) -> float:
    """The agreement of predictions and targets, in spreads from that of targets in random order."""
    generator = torch.Generator().manual_seed(0)
    orders = [torch.arange(len(y)), *(torch.randperm(len(y), generator=generator) for _ in range(SHUFFLES))]
    wanted = torch.cat([y[order] for order in orders], dim=1)
    agreement = ((smoother @ wanted) * wanted).sum(0).reshape(len(orders), -1).sum(1)
    chance = agreement[1:]
    return float((agreement[0] - chance.mean()) / chance.std().clamp(min=1e-12))
