"""The features have very different scales.

## Why it hurts
Beside an area of 7000, an eccentricity of 0.9 has no influence: each unit of the first layer sums both, so its value is
the area alone, which also decides whether the unit saturates. One learning rate has to serve directions whose
curvatures differ by the square of the ratio: a rate that suits the small features diverges on the large ones, and one
that suits the large ones never moves the weights of the small ones.

## How it is seen
Where the features first meet weights, the largest is more than 30 times as large (root mean square) as the smallest
that varies, and it is itself large or tiny. Inputs of a normalisation layer are not reported.

## What to do
Standardise every column by its own mean and standard deviation from the training rows, in training and in evaluation
alike. Leave codes for missing values (-999, 9999) out of these statistics, and replace them by the mean.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.rules._units import finding
from unstuck.signals.units import LARGE, MIXED, Units

STAGE = Stage.UNITS


def check(units: Units) -> Iterator[Finding]:
    """Compare the sizes of each input's features."""
    for one in (x for x in units.inputs if x.mixed):
        said = (
            f"the scales of these features differ {_round(one.mix)}-fold (the largest is about {_round(one.largest)})"
        )
        ratio = Evidence("largest / smallest feature size", one.mix, f"below {MIXED:g}")
        size = Evidence("size of the largest feature", one.largest, f"below {LARGE:g}")
        yield finding("feature-scale-mix", said, units, one, ratio, size)


def _round(value: float) -> str:
    """Three digits, without an exponent for sizes that people write out."""
    return f"{float(f'{value:.3g}'):,.0f}" if 1e3 <= value < 1e7 else f"{value:.3g}"


FIRES = """
import torch

torch.manual_seed(0)
table = torch.randn(800, 6)
kind = (table.sum(1) > 0).float()
table = table * torch.tensor([600.0, 20.0, 5.0, 0.2, 0.05, 0.006]) + torch.tensor([6000.0, 150.0, 60.0, 2.0, 0.7, 0.03])
model = torch.nn.Sequential(torch.nn.Linear(6, 25), torch.nn.ReLU(), torch.nn.Linear(25, 1), torch.nn.Sigmoid())
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for step in range(400):
    rows = torch.randint(0, 800, (32,))
    loss = torch.nn.functional.binary_cross_entropy(model(table[rows]).squeeze(1), kind[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""
QUIET = "\n".join(line for line in FIRES.splitlines() if not line.startswith("table = table"))
