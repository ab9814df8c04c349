"""The regression's targets are not normalised: their scale is far from the network's outputs.

## Why it hurts
A fresh network outputs numbers around one, and an optimizer moves a weight by about one learning rate per step. Targets
of a hundred thousand are far away: with Adam the outputs approach them in small equal steps, with SGD the gradient of
the squared error is so large that the weights diverge. Targets of a millionth, or of 500 plus or minus 1, leave a
gradient too small to learn their differences from.

## How it is seen
Mean and standard deviation of the recorded targets, if the loss measures a distance (MSE, L1, Huber).

## What to do
Train on (target - mean) / standard deviation, and convert predictions back to the target's units.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.standardise_targets import StandardiseTargets
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.tape.ops import DISTANCES

STAGE = Stage.UNITS
WIDE, NARROW = 5.0, 0.05
"""Standard deviations outside of these are suspect: the squared error's gradient is then five times or a twentieth of
the usual. Whether that hurts depends on loss, optimizer and rate; an experiment decides."""
FAR = 4.0
"""|mean| / standard deviation: of the squared error of an output of 0, 94 % is then the mean: 16 / 17."""
ALIKE = 30.0
"""Outputs whose spread is within this factor of the targets' are in their units: a random layer's own gain varies by
less, other units differ by hundreds."""


def check(losses: Losses) -> Iterator[Finding]:
    """Compare the targets of each distance loss with the outputs of a fresh network."""
    if losses.task.kind != "regression":
        raise NotApplicable(f"the task is no regression ({losses.task.kind})")
    for ending in losses.endings:
        if ending.loss.name in DISTANCES and ending.output is not None:
            yield from _scaled(losses, ending)


def _scaled(losses: Losses, ending: Ending) -> Iterator[Finding]:
    numbers = flat(losses.targets(ending))
    if len(numbers) < 2:
        return
    mean, spread = float(numbers.mean()), float(numbers.std(correction=0))
    far = spread > 0 and abs(mean) > max(1.0, FAR * spread)
    if not spread or not (far or not NARROW <= spread <= WIDE) or _already_there(losses, ending, mean, spread):
        return
    maker = next((c for c in reversed((ending.layer, *ending.tail)) if c is not None and not c.op.hands_on), None)
    output, loss = maker.site if maker else None, ending.loss.site
    yield Finding(
        "target-scale",
        f"the targets are not normalised: mean {mean:.4g}, standard deviation {spread:.4g}; "
        "a fresh network outputs numbers of about 1",
        ending.loss.site,
        (Evidence("mean of the targets", mean, "near 0"), Evidence("standard deviation", spread, "near 1")),
        (StandardiseTargets(mean, spread, output, loss),) if output is not None and loss is not None else (),
    )


def _already_there(losses: Losses, ending: Ending, mean: float, spread: float) -> bool:
    """Whether the first outputs, before any step, are in the targets' units: the network rescales by itself."""
    first = flat(losses.outputs(ending)[:1])
    if len(first) < 2:
        return False
    ratio = float(first.std(correction=0)) / spread
    return abs(float(first.mean()) - mean) <= 2 * spread and 1 / ALIKE <= ratio <= ALIKE


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
