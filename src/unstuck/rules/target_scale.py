"""The regression's targets are far from the size of the network's outputs.

## Why it hurts
A fresh network gives numbers around one, and an optimizer moves a weight by about one learning rate per step. Targets
of a hundred thousand are a long way off: with Adam the outputs crawl there by small equal steps, with plain descent the
squared error's gradient is so large that the weights blow up. Targets of a millionth, or of 500 plus or minus 1, leave
a gradient too small to learn the differences from.

## How it is seen
Mean and spread of the recorded targets, where the loss is one for numbers.

## What to do
Train on (target - mean) / standard deviation, and bring predictions back to the target's own units.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.remedies.standardise_targets import StandardiseTargets
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.tape.ops import DISTANCES
from unstuck.tape.program import Call

WIDE, NARROW = 5.0, 0.05
"""Spreads outside of these are suspect; whether they hurt depends on loss, optimizer and rate, and is tried."""
FAR = 4.0
"""A mean of so many spreads, and above one in itself: nearly all that is learnt at first is the mean."""
ALIKE = 30.0
"""Outputs whose spread is within this factor of the targets' are in their units."""


def check(endings: Losses) -> Iterator[Finding]:
    """The targets of each loss for numbers."""
    if endings.task.kind != "regression":
        raise NotApplicable(f"the task is no regression ({endings.task.kind})")
    for ending in endings.endings:
        if ending.loss.name in DISTANCES and ending.output is not None:
            yield from _scaled(endings, ending)


def _scaled(endings: Losses, ending: Ending) -> Iterator[Finding]:
    numbers = flat(endings.targets(ending))
    if len(numbers) < 2:
        return
    mean, spread = float(numbers.mean()), float(numbers.std(correction=0))
    far = spread > 0 and abs(mean) > max(1.0, FAR * spread)
    if not spread or not (far or not NARROW <= spread <= WIDE) or _already_there(endings, ending, mean, spread):
        return
    maker = next((c for c in reversed((ending.layer, *ending.tail)) if c is not None and _makes(c)), None)
    output, loss = maker.site if maker else None, ending.loss.site
    yield Finding(
        "target-scale",
        f"the targets are {mean:.4g} on average and vary by {spread:.4g}; a fresh network gives numbers of about 1",
        ending.loss.site,
        (Evidence("mean of the targets", mean, "near 0"), Evidence("spread of the targets", spread, "near 1")),
        (StandardiseTargets(mean, spread, output, loss),) if output is not None and loss is not None else (),
    )


def _already_there(endings: Losses, ending: Ending, mean: float, spread: float) -> bool:
    """Whether the first outputs, before any step, are in the targets' units: the network rescales by itself."""
    first = flat(endings.outputs(ending)[:1])
    if len(first) < 2:
        return False
    ratio = float(first.std(correction=0)) / spread
    return abs(float(first.mean()) - mean) <= 2 * spread and 1 / ALIKE <= ratio <= ALIKE


def _makes(call: Call) -> bool:
    return not call.op.hands_on


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(5)
x = torch.randn(500, 5)
price = {price}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 32), nn.ReLU())
        self.head = nn.Linear(32, 1)

    def forward(self, x):
        return self.head(self.body(x)).squeeze(1)


model = Model()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
loss_fn = nn.MSELoss()
for epoch in range(20):
    for rows in torch.randperm(500).split(25):
        optimizer.zero_grad()
        loss = loss_fn(model(x[rows]), price[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(price="240000 + 80000 * (x[:, 0] - x[:, 1] * x[:, 2])")
QUIET = _SCRIPT.format(price="x[:, 0] - x[:, 1] * x[:, 2]")
