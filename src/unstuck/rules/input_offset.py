"""The mean of an input is far from zero compared with its spread.

## Why it hurts
Initial weights and biases are around zero, so the units of the first layer switch where the inputs are around zero. If
a feature has a mean of 92 and a spread of 5, nearly every unit is on the same side of its threshold for every row: a
sigmoid is saturated, a ReLU is linear or dead, and the layer gives the same output for every input. A bias would have
to move as far as the data lie from zero, and an optimizer moves it by about one learning rate per step.

## How it is seen
Where a feature first meets weights, its mean over the recorded batches is more than 3 spreads away from zero. Inputs of
a normalisation layer are not reported, unless a convolution that pads with zeros comes before it: the border then
differs from the picture by the whole mean.

## What to do
Subtract the mean and divide by the standard deviation of the training data, in training and in evaluation alike. If
these statistics are not at hand, put `BatchNorm1d(n, affine=False, momentum=None)` in front of the network.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.rules._units import finding
from unstuck.signals.units import FAR, Units

STAGE = Stage.UNITS


def check(units: Units) -> Iterator[Finding]:
    """Compare the means of each input's features with their spreads."""
    for one in (x for x in units.inputs if x.far):
        feature = int(one.offsets.argmax())
        mean, std = float(one.entry.mean[feature]), float(one.entry.std[feature])
        said = f"these inputs are not centred: feature {feature} has mean {mean:.4g} and standard deviation {std:.4g}"
        evidence = (
            Evidence(f"|mean| / standard deviation of feature {feature}", one.offset, f"below {FAR:g}"),
            Evidence(f"mean of feature {feature}", mean, "near 0"),
            Evidence(f"standard deviation of feature {feature}", std, "near 1"),
        )
        yield finding("input-offset", said, units, one, *evidence)


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
