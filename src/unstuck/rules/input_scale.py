"""The inputs' spread is far from one.

## Why it hurts
Initial weights and learning rates are made for inputs of about unit size. Inputs c times as large give pre-activations
c times and first-layer gradients c times as large: training on them is training with a first layer c times too big at
a rate c squared times too high. Units saturate or die in the first steps, or the loss explodes. Inputs far too small do
the reverse: the first layer hardly sees them and hardly moves.

## How it is seen
The typical spread of a feature over the recorded batches is above LARGE or below SMALL where it first meets weights,
and no normalisation layer comes first.

## What to do
Divide by the standard deviation of the training data (after subtracting the mean): `x / 255` is not enough for data
that is not pixels. Scale the data rather than the learning rate: one rate serves all layers then.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.rules._inputs import gaps, remedies, spread
from unstuck.signals.inputs import Inputs

LARGE = 8.0
"""One decade up; one-hot counts and modest raw features stay below."""
SMALL = 0.05
"""Sparse one-hot inputs have spreads around 0.1 to 0.3 and train; below 0.05 the first layer sees little."""


def check(entrance: Inputs) -> Iterator[Finding]:
    """Read the inputs' typical spread."""
    for entry in entrance.inputs:
        size = spread(entry)
        if entry.normalised or not size or SMALL <= size <= LARGE:
            continue
        yield Finding(
            "input-scale",
            f"the inputs of this layer vary by about {size:.3g} where weights expect about 1",
            entry.call.site,
            (
                Evidence("typical spread of a feature", size, f"{SMALL:g} to {LARGE:g}"),
                Evidence("smallest value", float(entry.rows.min()), "a few"),
                Evidence("largest value", float(entry.rows.max()), "a few"),
                *gaps(entry),
            ),
            remedies(entrance, entry),
        )


FIRES = """
import torch

torch.manual_seed(0)
table = torch.randn(800, 12)
kind = (table @ torch.randn(12, 3)).argmax(1)
table = 200 * table
model = torch.nn.Sequential(torch.nn.Linear(12, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3))
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
