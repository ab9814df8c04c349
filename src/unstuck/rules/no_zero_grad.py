"""Gradients pile up: each step uses those of all the steps before it again.

## Why it hurts
`backward()` adds to the gradients that are there. Where nothing clears them between one step and the next, every step
follows the sum over all batches since the start: directions that were right long ago go on pushing, the steps grow, the
loss swings or explodes, and a smaller learning rate only slows this down.

## How it is seen
At the start of a backward, weights still hold a gradient that their optimizer has already stepped with, and no backward
between two steps ever finds it cleared. Several backwards for one step, which is how gradients are accumulated on
purpose, do not count.

## What to do
`optimizer.zero_grad()` before `loss.backward()`, once per step. In updates written by hand: `p.grad = None`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.clear_gradients import ClearGradients
from unstuck.rules._places import backward_site
from unstuck.signals.stale_gradients import StaleGradients
from unstuck.tape.model import Tape

HALF = 0.5
"""Of the steps. Clearing every few steps would leave fewer; clearing nowhere leaves all."""


def check(leftovers: StaleGradients, tape: Tape) -> Iterator[Finding]:
    """Count the steps that start from gradients already used."""
    if leftovers.share < HALF:
        return
    yield Finding(
        "no-zero-grad",
        f"gradients are not cleared between steps: {leftovers.kept} of {leftovers.steps} steps used what an earlier "
        "step had already used up",
        backward_site(tape),
        (
            Evidence("steps that started from used gradients", leftovers.kept, f"none of {leftovers.steps}"),
            Evidence("weights it happened to", len(leftovers.weights), "none"),
        ),
        (ClearGradients(),),
    )


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 6)
y = torch.sin(x[:, :1]) + 0.5 * x[:, 1:2] * x[:, 2:3]
model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("        loss.backward()", "        optimizer.zero_grad()\n        loss.backward()")
