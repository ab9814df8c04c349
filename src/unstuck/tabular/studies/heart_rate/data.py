"""The data of the heart-rate study: heart rates around 92, and two sets in the plane around zero, generated."""

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

    Duplicate rows are merged: the loss over a full batch is a mean, so a row that occurs twice counts twice. Of 500
    rounded heart rates about 55 are distinct, which makes training ten times as fast.
    """

    x: Tensor
    y: Tensor
    shares: Tensor


@dataclass(frozen=True)
class Source:
    """The data set. Heart rates: `centre` + normal * `spread`, rounded to `unit`, label 1 from `threshold` on.

    Circles and moons are the rings and half-moons of many tutorials; `centre` is added to both coordinates.
    """

    kind: Literal["heart rate", "circles", "moons"] = "heart rate"
    centre: float = 92.0
    spread: float = 10.0
    threshold: float = 91.0
    unit: float = 1.0
    columns: int = 1
    """Number of heart-rate columns, drawn independently; the label depends on their sum divided by sqrt(columns)."""

    @property
    def inputs(self) -> int:
        """Number of columns."""
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
    # A value equal to the threshold must not depend on rounding.
    y = offset >= source.threshold - source.centre - source.unit / 1e6
    return Rows((source.centre + distinct * source.unit).float(), y.float(), (counts / COUNT).float())


def _circles(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """An outer ring of radius 1 (label 0) and an inner ring of radius 0.5 (label 1)."""
    angle = torch.rand(COUNT, generator=generator) * 2 * math.pi
    y = (torch.arange(COUNT) % 2).float()
    x = torch.stack([angle.cos(), angle.sin()], 1) * (1 - 0.5 * y)[:, None]
    return x + 0.05 * torch.randn(COUNT, 2, generator=generator), y


def _moons(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two interleaved half circles around (0, 0)."""
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
"""`normed` is the output of BatchNorm1d for a full batch before its own weights, with the default eps."""


def formed(rows: Rows, form: str) -> Rows:
    """The rows in a form, as float32."""
    mean, var = moments(rows)
    return rows._replace(x=FORMS[form](rows.x.double(), mean, var).float())


def side_by_side(every: Sequence[Rows]) -> Rows:
    """Several sets stacked: (lanes, n, inputs), (lanes, n), (lanes, n); shorter ones are padded with weight 0."""
    longest = max(len(r.y) for r in every)
    parts = zip(*every, strict=True)
    return Rows(*(torch.stack([_longer(one, longest, k == 2) for one in part]) for k, part in enumerate(parts)))


def _longer(part: Tensor, n: int, empty: bool) -> Tensor:
    more = part[:1].expand(n - len(part), *part.shape[1:])
    return torch.cat([part, torch.zeros_like(more) if empty else more])
