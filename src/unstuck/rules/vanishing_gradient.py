"""The gradient vanishes towards the first layers: they hardly learn.

## Why it hurts
On its way back, a sigmoid multiplies the gradient by a quarter at most, a saturated tanh by almost zero, and every
layer of small weights shrinks it further. After a few layers a thousandth of it is left: the first layers keep their
random initial weights, and the last ones learn from what these pass on.

## How it is seen
The recorded norm of each layer's gradient, divided by the norm of its weights: over the first steps, the first layer's
is less than a hundredth of the last layer's, and the run learns poorly.

## What to do
Use ReLU instead of sigmoid or tanh in hidden layers, initialise weights by their number of connections
(`nn.init.kaiming_uniform_`), or add normalisation layers or residual connections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.signals.layers import Layers
from unstuck.signals.weights import Matrix
from unstuck.tape.program import Program

STAGE = Stage.MECHANISM
NEEDS_ROOM = True
FADED = 1e-2
"""Of the last layer's. With torch's initial weights, networks of 3 to 6 layers of 64 units have 0.017 to 0.17 if
they use ReLU, 0.038 to 0.12 with tanh and 0.003 or less with sigmoid."""
DEEP = 3
"""A gradient passes only one activation in a network of two layers."""
BENDS = ("sigmoid", "tanh")


def check(layers: Layers) -> Iterator[Finding]:
    """Compare the gradient of the first layer with the last one's."""
    taught = layers.taught
    first, last = taught[0], taught[-1]
    if len(taught) < DEEP or not last.gradient[0]:
        return
    ratio = first.gradient[0] / last.gradient[0]
    if ratio > FADED:
        return
    yield Finding(
        "vanishing-gradient",
        f"the gradient vanishes: relative to the weights, {first.name} gets {ratio:.1g} of what {last.name} gets",
        first.call.site,
        tuple(Evidence(f"gradient of {m.name} / norm of its weights", m.gradient[0], "alike") for m in taught[:6]),
        _remedies(layers.program, taught),
        known="observed" if ratio == 0 else "guessed",
    )


def _remedies(program: Program, taught: Sequence[Matrix]) -> tuple[Remedy, ...]:
    bends = [ReplaceActivation.of(program, old) for old in BENDS]
    found: list[Remedy] = [b for b in bends if b.sites]
    return (*found, RedrawWeights(tuple(m.name for m in taught), rectified(c.name for c in program.calls)))


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
