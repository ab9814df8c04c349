"""Most units of a ReLU layer output zero for every input: they are dead.

## Why it hurts
A ReLU unit whose input is negative for every row outputs zero and gets no gradient, so its weights never change again.
The network can use the remaining units only; if none is left, its output is the same for every input. Large negative
biases, inputs of large size and too high a learning rate kill units.

## How it is seen
The recorded step is run again on several batches, with the initial and with the final weights. Units are counted that
are zero in every row. That about half of all *values* of a ReLU are zero is normal.

## What to do
Initialise biases with zero, standardise the inputs, lower the learning rate; or use an activation whose gradient is
never exactly zero, such as `nn.LeakyReLU`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.rules._steep import before
from unstuck.signals.layers import Layer, Layers
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

STAGE = Stage.MECHANISM
NEEDS_ROOM = True
MOST = 0.7
"""Share of a layer's units. In networks of 64 ReLU units per layer that reach an accuracy of 0.96, Adam at a rate of
0.03 leaves up to 0.58 of a layer dead; with biases of -1, which leave them at chance, all of it is dead."""
UNITS = 4
"""In smaller layers one or two units make up most of it."""
RECTIFIERS = ("relu", "relu6", "hardtanh", "clamp_min", "threshold")


def check(layers: Layers, tape: Tape) -> Iterator[Finding]:
    """Report the ReLU layer with the largest share of dead units."""
    candidates = [x for x in layers.rows if x.call.name in RECTIFIERS and x.start.units >= UNITS]
    dead = [x for x in candidates if x.worst("silent")[0] >= MOST]
    if not dead:
        return
    layer = max(dead, key=lambda x: x.worst("silent")[0])
    share, when = layer.worst("silent")
    said = "before the first step" if when == "start" else "at the end of the run"
    yield Finding(
        "dead-relu",
        f"{share:.0%} of the {layer.start.units} units of this ReLU layer are dead {said}: zero for every input",
        layer.call.site,
        (
            Evidence("share of dead units at the start", layer.start.silent, "below 0.3"),
            Evidence("share of dead units at the end", layer.end.silent, f"below {MOST:g}"),
        ),
        _remedies(layers.program, dead, tape),
        known="observed" if share == 1 else "guessed",
    )


def _remedies(program: Program, dead: Sequence[Layer], tape: Tape) -> tuple[Remedy, ...]:
    """Redraw the weights of layers that were dead from the start; replace the activation."""
    trained = {p.name for p in tape.parameters if p.trainable}
    born = [before(program, x.call)[1] for x in dead if x.start.silent >= MOST]
    names = tuple(dict.fromkeys(name for c in born if c for name in c.weights() if name in trained))
    found: list[Remedy] = [RedrawWeights(names, rectified(c.name for c in program.calls))] if names else []
    other = ReplaceActivation.of(program, "relu", "tanh")
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
