"""An input lies far from zero compared with its spread.

## Why it hurts
The first layer starts with weights and biases around zero, so its units switch where the inputs are around zero. If a
feature sits at 92 and moves by 5, nearly every unit is on the same side of its threshold for every row: a sigmoid is
saturated, a ReLU is a plain linear map or dead, and the layer says the same thing about every input. To become useful
a bias must travel as far as the data lies, and an optimizer moves it by about one learning rate per step.

## How it is seen
The mean of a feature, over the recorded batches, is more than FAR spreads away from zero, at the call where it first
meets weights; inputs that a normalisation layer receives are left alone.

## What to do
Subtract the mean and divide by the standard deviation of the training data, in training and in evaluation alike. Where
the statistics are not at hand, `BatchNorm1d(n, affine=False, momentum=None)` in front of the network does the same.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.rules._inputs import gaps, offset, offsets, remedies
from unstuck.signals.inputs import Inputs

FAR = 3.0
"""Spreads. At three, the data of a normal feature no longer straddles zero; pixels in [0, 1] stay below two."""


def check(entrance: Inputs) -> Iterator[Finding]:
    """Read the inputs' means against their spreads."""
    for entry in entrance.inputs:
        far = offset(entry)
        if entry.normalised or far <= FAR:
            continue
        feature = int(offsets(entry).argmax())
        mean, std = float(entry.mean[feature]), float(entry.std[feature])
        yield Finding(
            "input-offset",
            f"the inputs of this layer lie far from zero: feature {feature} is {mean:.4g} on average "
            f"and varies by {std:.4g} only",
            entry.call.site,
            (
                Evidence(f"|mean| / spread of feature {feature}", far, f"below {FAR:g}"),
                Evidence(f"mean of feature {feature}", mean, "near 0"),
                Evidence(f"spread of feature {feature}", std, "near 1"),
                *gaps(entry),
            ),
            remedies(entrance, entry),
        )


FIRES = """
import torch

torch.manual_seed(0)
rate = 92 + 5 * torch.randn(600, 1)
label = (rate > 91).float()
model = torch.nn.Sequential(torch.nn.Linear(1, 8), torch.nn.Sigmoid(), torch.nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(400):
    rows = torch.randint(0, 600, (64,))
    loss = torch.nn.functional.binary_cross_entropy_with_logits(model(rate[rows]), label[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("rate = 92 + 5 * torch.randn(600, 1)", "rate = torch.randn(600, 1)").replace(
    "rate > 91", "rate > -0.2"
)
