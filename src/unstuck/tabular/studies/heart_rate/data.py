"""The data of the heart-rate story: heart rates around 92, and two sets in the plane around zero, all drawn afresh."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

COUNT = 500
"""Rows of every set: the thread does not say how many there were."""

Form = Literal["raw", "z-score", "minus mean", "over sd", "over 100"]


class Rows(NamedTuple):
    """Distinct rows x (n, inputs), their targets (n,), and the share of each in the data (n,), which sum to one.

    Rows that are equal are kept once: the loss over a full batch is a mean, so a row that stands there twice counts
    twice. Of 500 rounded heart rates about 55 differ, and training costs a tenth.
    """

    x: Tensor
    y: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Source:
    """Which data. Heart rates: `centre` + normal * `spread`, rounded to `unit`, label 1 from `threshold` on.

    Circles and moons are the ring and the half-moons of many tutorials; `centre` is added to both coordinates.
    """

    kind: Literal["heart rate", "circles", "moons"] = "heart rate"
    centre: float = 92.0
    spread: float = 10.0
    threshold: float = 91.0
    unit: float = 1.0
    columns: int = 1
    """Of heart rates: with several, each is drawn alike, and the label asks their sum, in units of its own spread."""

    @property
    def inputs(self) -> int:
        """Columns."""
        return self.columns if self.kind == "heart rate" else 2


def draw(source: Source, seed: int) -> Rows:
    """The rows of one seed."""
    generator = torch.Generator().manual_seed(seed)
    if source.kind != "heart rate":
        x, y = (_circles if source.kind == "circles" else _moons)(generator)
        return Rows(x + source.centre, y, torch.full((COUNT,), 1 / COUNT))
    shape = COUNT, source.columns
    steps = (torch.randn(shape, generator=generator, dtype=torch.float64) * source.spread / source.unit).round()
    distinct, counts = steps.unique(dim=0, return_counts=True)
    offset = distinct.sum(1) * source.unit / math.sqrt(source.columns)
    # A threshold that is itself a value must not fall to rounding.
    y = offset >= source.threshold - source.centre - source.unit / 1e6
    return Rows((source.centre + distinct * source.unit).float(), y.float(), (counts / COUNT).float())


def _circles(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An outer ring of radius 1 (label 0) and an inner one of half that (label 1)."""
    angle = torch.rand(COUNT, generator=generator) * 2 * math.pi
    y = (torch.arange(COUNT) % 2).float()
    x = torch.stack([angle.cos(), angle.sin()], 1) * (1 - 0.5 * y)[:, None]
    return x + 0.05 * torch.randn(COUNT, 2, generator=generator), y


def _moons(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two half circles that reach into each other, around (0, 0)."""
    angle = torch.rand(COUNT, generator=generator) * math.pi
    y = (torch.arange(COUNT) % 2).float()
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    x = torch.where(y[:, None] > 0, lower, upper) - torch.tensor([0.5, 0.25])
    return x + 0.1 * torch.randn(COUNT, 2, generator=generator), y


def moments(rows: Rows) -> tuple[Tensor, Tensor]:
    """Mean and variance (biased) per column over the whole data, in float64."""
    x, shares = rows.x.double(), rows.shares.double()[:, None]
    mean = (x * shares).sum(0)
    return mean, ((x - mean).square() * shares).sum(0)


FORMS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "raw": lambda x, mean, var: x,
    "z-score": lambda x, mean, var: (x - mean) / var.sqrt(),
    "minus mean": lambda x, mean, var: x - mean,
    "over sd": lambda x, mean, var: x / var.sqrt(),
    "over 100": lambda x, mean, var: x / 100,
    "normed": lambda x, mean, var: (x - mean) / (var + 1e-5).sqrt(),
}
"""`normed` is what BatchNorm1d computes from a full batch before its own weights, with its default eps."""


def formed(rows: Rows, form: str) -> Rows:
    """The rows as the network gets them, in float32."""
    mean, var = moments(rows)
    return rows._replace(x=FORMS[form](rows.x.double(), mean, var).float())


def side_by_side(every: Sequence[Rows]) -> Rows:
    """Several sets as one: (lanes, n, inputs), (lanes, n), (lanes, n); shorter ones get rows with a share of zero."""
    longest = max(len(r.y) for r in every)
    parts = zip(*every, strict=True)
    return Rows(*(torch.stack([_longer(one, longest, k == 2) for one in part]) for k, part in enumerate(parts)))


def _longer(part: Tensor, n: int, empty: bool) -> Tensor:
    more = part[:1].expand(n - len(part), *part.shape[1:])
    return torch.cat([part, torch.zeros_like(more) if empty else more])
