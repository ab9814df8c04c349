"""Gradients are never cleared: every step also uses the gradients of the steps before it.

## Why it hurts
`backward()` adds to the gradients that are there. Without `zero_grad()` between two steps, each step follows the sum
over all batches since the start: stale gradients go on pushing, the steps grow, the loss oscillates or diverges, and a
lower learning rate only slows this down.

## How it is seen
When a backward starts, weights still hold the gradient that the last step used, and no backward between the two steps
finds it cleared. Gradient accumulation, several backwards to one step, does not count. Clearing every few steps is
reported if it leaves stale gradients in at least half of them.

## What to do
Call `optimizer.zero_grad()` once per step, before `loss.backward()`. In updates written by hand: `p.grad = None`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Known
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.clear_gradients import ClearGradients
from unstuck.rules._places import backward_site, optimizer_site, step_site
from unstuck.signals.stale_gradients import StaleGradients
from unstuck.tape.model import Tape

STAGE = Stage.WIRING
NEVER_MEANT = True
HALF = 0.5
"""Clearing every second step leaves stale gradients in half of the steps; clearing nowhere, in all."""


def check(stale: StaleGradients, tape: Tape) -> Iterator[Finding]:
    """Count the steps that start from gradients already used; some steps without, and it may be meant."""
    if stale.share < HALF:
        return
    known: Known = "observed" if stale.kept == stale.steps else "guessed"
    often = "never cleared" if known == "observed" else "not cleared between most steps"
    several, made = len(tape.optimizers) > 1, optimizer_site(tape, stale.optimizer)
    whose = f" for the optimizer of line {made.line}" if several and made is not None else ""
    yield Finding(
        "no-zero-grad",
        f"gradients{whose} are {often}: {stale.kept} of {stale.steps} steps add to the gradients of an earlier step; "
        "call zero_grad() before backward()",
        backward_site(tape, stale.optimizer),
        (
            Evidence("steps with stale gradients", stale.kept, f"0 of {stale.steps}"),
            Evidence("weights with stale gradients", len(stale.weights), "0"),
        ),
        (ClearGradients(step_site(tape, stale.optimizer), several),),
        known=known,
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
