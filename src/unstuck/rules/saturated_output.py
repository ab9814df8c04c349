"""The output's sigmoid or softmax is saturated: it gives exactly 0 or 1, and its gradient is zero.

## Why it hurts
In float32, `sigmoid(z)` is exactly 1 from z = 16.6 on, with a slope of exactly 0; below z = -88.7 it is exactly 0.
`BCELoss` replaces log(0) by -100, so the loss stays finite, but the gradient of such a row is zero (or so large that
the next step overshoots). A wrong prediction with this certainty is never corrected.

## How it is seen
The recorded step is run again on several batches, with the initial and with the final weights: most outputs are exactly
0 or 1. The cause usually lies earlier: large inputs, a large factor, large initial weights, too high a learning rate.

## What to do
Remove the factor, standardise the inputs, use torch's initial weights; and train on logits with `BCEWithLogitsLoss` or
`CrossEntropyLoss`, whose gradient does not vanish for wrong predictions.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.loss_on_logits import LossOnLogits
from unstuck.rules._steep import milder
from unstuck.signals.layers import Layer, Layers
from unstuck.tape.model import Tape

STAGE = Stage.MECHANISM
NEEDS_ROOM = True
MOST = 0.5
"""Share of outputs that are exactly 0 or 1. Logits of spread 5 on both sides of zero leave 0.0005 of a sigmoid's
outputs there (z > 16.6)."""
LOSSES = {"sigmoid": "binary_cross_entropy", "softmax": "nll_loss", "expit": "binary_cross_entropy"}
"""The loss that each activation is followed by, if the two can be replaced by a loss on logits."""
WINDOW = "-88.7 to 16.6"
"""The inputs for which float32's sigmoid is neither 0 nor 1."""


def check(layers: Layers, tape: Tape) -> Iterator[Finding]:
    """Count the outputs that are exactly 0 or 1."""
    layer = next((x for x in layers.rows if x.call is layers.output and x.call.name in LOSSES), None)
    if layer is None:
        return
    share, when = max((x.low + x.high, when) for when, x in (("start", layer.start), ("end", layer.end)))
    if share < MOST:
        return
    said, values = ("before the first step", layer.start) if when == "start" else ("at the end of the run", layer.end)
    yield Finding(
        "saturated-output",
        f"{share:.0%} of the {layer.call.name} outputs are exactly 0 or 1 {said}: their gradient is zero",
        layer.call.site,
        (
            Evidence(f"share of outputs exactly 0 at the {when}", values.low, "0"),
            Evidence(f"share of outputs exactly 1 at the {when}", values.high, "0"),
            Evidence(f"largest magnitude of the input of {layer.call.name}", values.given, f"within {WINDOW}"),
        ),
        _remedies(layers, layer, tape),
    )


def _remedies(layers: Layers, layer: Layer, tape: Tape) -> tuple[Remedy, ...]:
    found, loss, site = milder(layers.program, [layer.call], tape), layers.task.loss, layer.call.site
    if loss is None or loss.name != LOSSES[layer.call.name] or site is None:
        return found
    return (*found, LossOnLogits(site, layer.call.name))


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 4)
y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).float()
body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(body.parameters(), lr=0.1, momentum=0.9)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        out = torch.sigmoid(2000 * body(x[rows])).squeeze(1)
        loss = nn.functional.binary_cross_entropy(out, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("2000 * body(x[rows])", "body(x[rows])")
