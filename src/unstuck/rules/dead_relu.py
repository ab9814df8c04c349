"""Most units of a ReLU layer are zero for every input: they are dead.

## Why it hurts
A ReLU that is below zero for every input passes nothing forward and nothing back, so nothing ever moves its weights
again. A network with few living units left can do no more than those can; with none left it says one thing to every
input. Biases drawn far below zero, raw inputs and steps that are too large kill units.

## How it is seen
The recorded step is run again at the first and at the last weights, on several batches: units that are zero in every
row. A third of all *values* at zero is how ReLU works, and is no sign of anything.

## What to do
Biases of zero, inputs of unit size, a smaller rate; or an activation that never goes quite flat (`nn.LeakyReLU`).
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.rules._steep import before
from unstuck.signals.activations import Activations, Layer
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape
from unstuck.tape.program import Weight

MOST = 0.7
"""Share of a layer's units. Healthy layers keep half of them alive; wide ones on sparse inputs a third."""
UNITS = 4
"""Layers with fewer units than this say little by a share."""
LEARNT = 0.9
"""A run of this skill has enough living units."""


def check(activations: Activations, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Count the units that never answer; the worst layer speaks for all."""
    if learning.final >= LEARNT:
        return
    layers = [x for x in activations.layers if x.call.name in ("relu", "clamp_min", "threshold") and _units(x) >= UNITS]
    dead = [(max(x.silent("start"), x.silent("end")), x) for x in layers]
    bad = [pair for pair in dead if pair[0] >= MOST]
    if not bad:
        return
    share, worst = max(bad, key=lambda pair: pair[0])
    when = "start" if worst.silent("start") >= MOST else "end"
    yield Finding(
        "dead-relu",
        f"{share:.0%} of the {_units(worst)} units of a ReLU layer are zero for every input at the {when} of the run",
        worst.call.site,
        (
            Evidence("share of units that are zero for every row, at the start", worst.silent("start"), "below 0.3"),
            Evidence("share of units that are zero for every row, at the end", worst.silent("end"), f"below {MOST:g}"),
        ),
        _remedies(activations, [x for _, x in bad], tape),
    )


def _units(layer: Layer) -> int:
    shape = layer.start[0].shape if layer.start else ()
    return 0 if len(shape) < 2 else shape[1] if len(shape) >= 4 else shape[-1]


def _remedies(activations: Activations, layers: list[Layer], tape: Tape) -> tuple[Remedy, ...]:
    """Fresh weights for layers that were dead from the start; units that answer a little below zero for all."""
    trained = {p.name for p in tape.parameters if p.trainable}
    born = [before(activations.program, x.call)[1] for x in layers if x.silent("start") >= MOST]
    read = [r.name for c in born if c for r in c.refs() if isinstance(r, Weight)]
    names = tuple(dict.fromkeys(n for n in read if n in trained))
    found: list[Remedy] = [RedrawWeights(names, rectified(c.name for c in activations.program.calls))] if names else []
    other = ReplaceActivation.of(activations.program, "relu", "tanh")
    return (*found, other) if other.sites else tuple(found)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.rand(800, 8)
y = (x[:, 0] > x[:, 1]).long() + 2 * (x[:, 2] > x[:, 3]).long()
model = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 48), nn.ReLU(), nn.Linear(48, 4))
for layer in (model[0], model[2]):
    nn.init.constant_(layer.bias, -3.0)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("-3.0", "0.0")
