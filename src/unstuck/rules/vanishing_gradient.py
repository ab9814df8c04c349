"""The gradient dies away towards the first layers: they hardly learn.

## Why it hurts
Going back through a sigmoid multiplies the gradient by a quarter at most, through a flat stretch of tanh by nearly
nothing, and through every layer of small weights once more. After a few layers what arrives is a thousandth of what the
last layer gets: the first layers stay as they were drawn, and the last ones learn from noise.

## How it is seen
The norms of the gradients as recorded, each against the size of its weights: the first layer's is less than FADED of
the last layer's, over the first steps of a run that learns poorly.

## What to do
ReLU instead of sigmoid or tanh in hidden layers, weights drawn for their number of connections, a normalisation layer
between, or a shortcut around each block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.signals.gradients import Gradients
from unstuck.signals.learning import Learning
from unstuck.signals.weights import Matrix, Weights

FADED = 1e-2
"""Of the last layer's. Healthy networks stay within a factor of ten."""
DEEP = 3
"""Layers below which there is no way long enough to fade on."""
LEARNT = 0.9
"""A run of this skill has gradients enough."""
BENDS = ("sigmoid", "tanh")


def check(gradients: Gradients, weights: Weights, learning: Learning) -> Iterator[Finding]:
    """Compare the gradients of the first layers with the last one's."""
    layers = [m for m in weights.matrices if math.isfinite(_pace(gradients, m))]
    if learning.final >= LEARNT or len(layers) < DEEP or not _pace(gradients, layers[-1]):
        return
    ratio = _pace(gradients, layers[0]) / _pace(gradients, layers[-1])
    if ratio > FADED:
        return
    yield Finding(
        "vanishing-gradient",
        f"the gradient that reaches {layers[0].name} is {ratio:.1g} of the one at {layers[-1].name}",
        layers[0].call.site,
        tuple(
            Evidence(f"gradient of {m.name} / size of its weights", _pace(gradients, m), "alike") for m in layers[:6]
        ),
        _remedies(weights, layers),
    )


def _pace(gradients: Gradients, matrix: Matrix) -> float:
    """A weight's gradient against its own size: how fast it could change."""
    return gradients.typical(matrix.name) / max(float(matrix.start.double().norm()), 1e-12)


def _remedies(weights: Weights, layers: list[Matrix]) -> tuple[Remedy, ...]:
    bends = [ReplaceActivation.of(weights.program, old) for old in BENDS]
    found: list[Remedy] = [b for b in bends if b.sites]
    return (*found, RedrawWeights(tuple(m.name for m in layers), rectified(c.name for c in weights.program.calls)))


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
layers = [nn.Linear(6, 32), nn.Sigmoid()]
for _ in range(4):
    layers += [nn.Linear(32, 32), nn.Sigmoid()]
model = nn.Sequential(*layers, nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(12):
    for rows in torch.randperm(600).split(30):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("nn.Sigmoid()", "nn.ReLU()")
