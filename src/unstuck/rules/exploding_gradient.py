"""Gradients or losses grow without bound, or stop being numbers.

## Why it hurts
One step along a gradient a thousand times the usual size undoes everything learnt before it, and often throws the
weights so far out that the next gradient is larger still: the loss becomes infinite, then NaN, and NaN never goes away.
Recurrent networks do this by themselves, for the same weights multiply each step's gradient again; elsewhere it is
mostly raw inputs, raw targets or a rate that is too high.

## How it is seen
The norm of the gradient as recorded: it grows to more than BLOWN times its usual size at the beginning, or the loss is
no number any more.

## What to do
`torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)` between `backward()` and `step()`; then look for what stands
further up: units of inputs and targets, the rate, the first weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.clip_gradients import ClipGradients
from unstuck.rules._places import step_site
from unstuck.signals.gradients import Gradients
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape

BLOWN = 300.0
"""Times the usual norm of the beginning. Gradients of a healthy run shrink, and jump by ten."""
LEARNT = 0.9
"""A run of this skill has come through."""
NORM = 1.0
"""What to clip to: the usual bound, and near the usual norm of a network whose units are right."""


def check(gradients: Gradients, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Look for growth."""
    growth = gradients.largest / max(gradients.early, 1e-12) if math.isfinite(gradients.early) else math.inf
    clipped = any(o.clip is not None for o in tape.optimizers)
    if not learning.broke and (growth < BLOWN or learning.final >= LEARNT or clipped):
        return
    broken = next((n for n, x in enumerate(tape.losses) if not math.isfinite(x)), None)
    if broken == 0:  # it did not grow: it came in so
        return
    grown = f"the gradient grows {growth:.3g}-fold"
    said = grown if broken is None else f"the loss is no number from step {tape.place(broken)} on"
    yield Finding(
        "exploding-gradient",
        f"{said}; its usual norm at the beginning is {gradients.early:.3g}",
        step_site(tape),
        (
            Evidence("largest norm of the gradient", gradients.largest, f"below {BLOWN:g} times its usual size"),
            Evidence("usual norm at the beginning", gradients.early, "about as large as at the end"),
        ),
        (ClipGradients(NORM),),
    )


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
