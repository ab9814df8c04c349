"""The gradient explodes, or the loss becomes NaN or infinite.

## Why it hurts
One step along a gradient a thousand times its usual size undoes what was learnt before, and often moves the weights so
far that the next gradient is larger still: the loss becomes infinite, then NaN, and stays NaN. Recurrent networks tend
to it, because the same weights multiply the gradient at every time step; elsewhere the cause is usually unscaled
inputs or targets, or too high a learning rate.

## How it is seen
The recorded norm of the whole gradient grows to more than 300 times its typical value at the start, or the loss
becomes NaN or infinite after the first step.

## What to do
Clip it: `torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)` between `backward()` and `step()`. Then look for the
cause: scale of inputs and targets, learning rate, initial weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.skill import leaves_room
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.clip_gradients import ClipGradients
from unstuck.rules._places import step_site
from unstuck.signals.gradients import Gradients
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape

STAGE = Stage.MECHANISM
BLOWN = 300.0
"""Times the typical norm at the start. It grows 17,000-fold in FIRES, and at most 14-fold in the scripts of the rules
about layers, inputs, decay and dropout."""
NORM = 1.0
"""What to clip to: torch's own examples, and Pascanu et al. (2013), clip to norms near 1."""


def check(gradients: Gradients, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Compare the largest norm of the gradient with the typical one at the start."""
    growth = gradients.largest / max(gradients.early, 1e-12) if math.isfinite(gradients.early) else math.inf
    clipped = any(o.clip is not None for o in tape.optimizers)
    if not learning.broke and (growth < BLOWN or clipped or not leaves_room(learning.final)):
        return
    broken = next((n for n, x in enumerate(tape.losses) if not math.isfinite(x)), None)
    if broken == 0:  # nothing grew: it was NaN or infinite before the first step
        return
    grown = f"the gradient explodes: its norm grows {growth:.3g}-fold"
    said = grown if broken is None else f"the loss is NaN or infinite from step {tape.place(broken)} on"
    evidence = (
        Evidence("largest norm of the gradient", gradients.largest, f"below {BLOWN:g} times the typical norm"),
        Evidence("typical norm at the start", gradients.early, "about as large as at the end"),
    )
    known = "guessed" if broken is None else "observed"
    yield Finding(
        "exploding-gradient", f"{said}; the norm of the gradient is {gradients.early:.3g} at the start",
        step_site(tape), evidence, (ClipGradients(NORM),), known=known,
    )  # fmt: skip


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 20, 1)
y = 4 * x.mean(1)


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNNCell(1, 24, nonlinearity="relu")
        nn.init.eye_(self.rnn.weight_hh)
        self.out = nn.Linear(24, 1)

    def forward(self, x):
        h = torch.zeros(len(x), 24)
        for t in range(x.shape[1]):
            h = self.rnn(x[:, t], h)
        return self.out(h)


model = Reader()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
for epoch in range(8):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("lr=0.01", "lr=0.003")
