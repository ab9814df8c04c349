"""The features live on very different scales.

## Why it hurts
An area of 7000 beside an eccentricity of 0.9: the sum in each unit of the first layer is the area alone, so its size
decides whether units saturate, and one learning rate has to serve directions whose curvatures differ by the square of
the ratio. What is fast enough for the small features throws the large ones out of any window; what is slow enough for
the large ones never moves the small ones.

## How it is seen
The largest feature is more than MIXED times as large (root mean square) as the smallest that varies, and large in
itself, at the call where they first meet weights; inputs of a normalisation layer are left alone.

## What to do
Standardise every column by its own mean and standard deviation from the training rows, in training and in evaluation
alike. A number that means "not measured" (-999, 9999) is no size: leave it out of the statistics, put the mean there.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.rules._inputs import gaps, homogeneous, largest, mix, remedies
from unstuck.signals.inputs import Inputs

MIXED = 30.0
"""Curvatures then differ by nearly a thousand; mixed one-hot and standardised columns stay below."""
LARGE = 8.0
TINY = 0.02
"""Mixed scales matter where the largest feature is large too, or all are tiny; 0.01 beside 1 is a weak feature."""


def check(entrance: Inputs) -> Iterator[Finding]:
    """Read the features' sizes against each other."""
    for entry in entrance.inputs:
        ratio, top = mix(entry), largest(entry)
        if entry.normalised or homogeneous(entry) or ratio <= MIXED or TINY <= top <= LARGE:
            continue
        yield Finding(
            "feature-scale-mix",
            f"the features of this layer differ {ratio:.3g}-fold in size (the largest is about {top:.3g})",
            entry.call.site,
            (
                Evidence("largest / smallest feature size", ratio, f"below {MIXED:g}"),
                Evidence("size of the largest feature", top, f"below {LARGE:g}"),
                *gaps(entry),
            ),
            remedies(entrance, entry),
        )


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
