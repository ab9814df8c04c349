"""The inputs' spread is far from one: they are not scaled.

## Why it hurts
Initial weights and learning rates suit inputs with a standard deviation of about 1. Inputs c times as large give
pre-activations and first-layer gradients c times as large: it is as if the first layer were c times too large and
trained at a rate c squared times too high. Units saturate or die in the first steps, or the loss explodes. Inputs that
are far too small do the reverse: the first layer hardly sees them and hardly moves.

## How it is seen
Where the inputs first meet weights, the typical standard deviation of a feature over the recorded batches is above 8 or
below 0.05, and no normalisation layer comes first.

## What to do
Standardise the inputs: subtract the mean and divide by the standard deviation of the training data. `x / 255` is right
for 8-bit pixels only. Scale the data rather than the learning rate: one rate then suits all layers.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.rules._units import finding
from unstuck.signals.units import LARGE, SMALL, Units

STAGE = Stage.UNITS


def check(units: Units) -> Iterator[Finding]:
    """Read the typical spread of each input."""
    for one in (x for x in units.inputs if x.scaled):
        low, high = (float(x) for x in one.entry.rows.aminmax())
        said = f"these inputs are not scaled: their standard deviation is about {one.spread:.3g} instead of about 1"
        evidence = (
            Evidence("typical standard deviation of a feature", one.spread, f"{SMALL:g} to {LARGE:g}"),
            Evidence("smallest value", low, "above -10"),
            Evidence("largest value", high, "below 10"),
        )
        yield finding("input-scale", said, units, one, *evidence)


FIRES = """
import torch

torch.manual_seed(0)
table = torch.randn(800, 12)
kind = (table @ torch.randn(12, 3)).argmax(1)
table = 200 * table
model = torch.nn.Sequential(torch.nn.Linear(12, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for step in range(400):
    rows = torch.randint(0, 800, (50,))
    loss = torch.nn.functional.cross_entropy(model(table[rows]), kind[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("table = 200 * table\n", "")
