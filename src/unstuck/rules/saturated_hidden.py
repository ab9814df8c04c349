"""Hidden sigmoid or tanh units are saturated: their gradient is close to zero.

## Why it hurts
At an input of 4, tanh is within 0.001 of 1 and its slope is 0.001; a sigmoid reaches that at 7. A unit that all inputs
drive that far outputs the same number for each of them, and the gradient that passes it is a thousandth of its usual
size. The layers in front of it hardly learn.

## How it is seen
The recorded step is run again on several batches, with the initial and with the final weights. Most values of a hidden
sigmoid or tanh are at the ends of its range. Large inputs, a large factor in front of the activation, large weights or
too high a learning rate drive them there. Runs that learn well are not reported.

## What to do
Standardise the inputs, remove large factors, initialise weights by the number of connections
(`nn.init.xavier_uniform_`), or use ReLU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.rules._steep import milder
from unstuck.signals.layers import Layer, Layers
from unstuck.tape.model import Tape
from unstuck.tape.ops import SATURATING
from unstuck.tape.program import Program

STAGE = Stage.MECHANISM
NEEDS_ROOM = True
MOST = 0.5
"""Share of a layer's values at the ends. Values of spread 1 in front of a tanh leave 0.0001 of them there, of spread 2
0.06: |x| > 3.8."""


def check(layers: Layers, tape: Tape) -> Iterator[Finding]:
    """Report the hidden sigmoid or tanh layer with the largest share of values at the ends of its range."""
    hidden = [x for x in layers.rows if x.call.name in SATURATING and x.call is not layers.output]
    flat = [x for x in hidden if x.worst("flat")[0] >= MOST]
    if not flat:
        return
    layer = max(flat, key=lambda x: x.worst("flat")[0])
    name, share = layer.call.name, layer.worst("flat")[0]
    yield Finding(
        "saturated-hidden",
        f"{share:.0%} of the values of this hidden {name} layer are saturated: their gradient is close to zero"
        + (f" ({len(flat)} of {len(hidden)} such layers)" if len(hidden) > 1 else ""),
        layer.call.site,
        (
            Evidence(f"share of saturated {name} values at the start", layer.start.flat, "below 0.1"),
            Evidence(f"share of saturated {name} values at the end", layer.end.flat, f"below {MOST:g}"),
        ),
        _remedies(layers.program, flat, tape),
    )


def _remedies(program: Program, flat: Sequence[Layer], tape: Tape) -> tuple[Remedy, ...]:
    found = milder(program, [x.call for x in flat], tape)
    other = ReplaceActivation.of(program, flat[0].call.name)
    return (*found, other) if other.sites else found


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 6)
y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
first, second, last = nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*first.parameters(), *second.parameters(), *last.parameters()], lr=0.003)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        h = torch.tanh(100 * first(x[rows]))
        h = torch.tanh(100 * second(h))
        loss = nn.functional.mse_loss(last(h), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("100 * ", "")
