"""Weight decay is too strong: it shrinks the weights faster than the loss trains them.

## Why it hurts
Weight decay adds a gradient that is proportional to the weights. If it exceeds the gradient of the loss, the weights
shrink towards zero and the outputs towards one value for every input. Adam normalises the sum of both, so values that
are harmless with SGD (0.01, 0.1) can dominate its steps.

## How it is seen
The optimizer's weight decay is compared with the gradient of the loss (decoupled decay, as in AdamW, with the length of
the run), in a run that learns poorly. A replay without it shows whether it holds the run back.

## What to do
Leave it out first. Usual values are 0.01 for AdamW, and 1e-4 or less for Adam and SGD.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.set_weight_decay import SetWeightDecay
from unstuck.rules._places import optimizer_site
from unstuck.signals.gradients import Gradients
from unstuck.tape.model import Optimizer, Tape

STAGE = Stage.REGULARISATION
NEEDS_ROOM = True
SHARE = 0.1
"""Of the gradient of the loss at the start. That gradient falls by ten and more as a run learns, while the decay stays:
then it is as large."""
SHRUNK = 0.3
"""Share of the weights that the decay alone removes over the run. torch's default for AdamW (0.01, at a rate of 0.001)
removes 0.3 in 36,000 steps."""


def check(tape: Tape, gradients: Gradients) -> Iterator[Finding]:
    """Compare each optimizer's weight decay with the gradient of the loss."""
    for number, optimizer in enumerate(tape.optimizers):
        decay = max((float(g.get("weight_decay") or 0.0) for g in optimizer.groups), default=0.0)
        share, shrunk = _share(tape, gradients, number, decay), _shrunk(tape, number, decay)
        decoupled = optimizer.name == "AdamW" or any(g.get("decoupled_weight_decay") for g in optimizer.groups)
        if decay <= 0 or (shrunk < SHRUNK and (decoupled or share < SHARE)):
            continue
        yield Finding(
            "weight-decay-too-high",
            f"weight decay {decay:g} is too high: its gradient is {share:.2g} times that of the loss, and it alone "
            f"shrinks the weights by {shrunk:.0%} over the run",
            optimizer_site(tape, number),
            (
                Evidence("gradient of the decay / gradient of the loss, at the start", share, f"below {SHARE:g}"),
                Evidence("share of the weights that the decay alone removes", shrunk, f"below {SHRUNK:g}"),
            ),
            (SetWeightDecay(0.0, number, optimizer.made, _decays(optimizer)),),
        )


def _decays(optimizer: Optimizer) -> tuple[float, ...]:
    held = (g.get("weight_decay") for g in optimizer.groups)
    return tuple(dict.fromkeys(float(d) for d in held if isinstance(d, int | float)))


def _share(tape: Tape, gradients: Gradients, number: int, decay: float) -> float:
    held = [p.name for p in tape.parameters if p.optimizer == number and p.name in gradients.by_weight]
    size = math.sqrt(sum(float(tape.start(n).double().square().sum()) for n in held))
    return decay * size / max(gradients.early, 1e-12) if math.isfinite(gradients.early) else 0.0


def _shrunk(tape: Tape, number: int, decay: float) -> float:
    rates = [max(u.rates) for u in tape.updates if u.optimizer == number and u.rates]
    return 1.0 - math.exp(-min(decay * sum(r for r in rates if math.isfinite(r)), 700.0))


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 8)
y = (x[:, 0] + x[:, 1] > 0).long() + 2 * (x[:, 2] * x[:, 3] > 0).long()
model = nn.Sequential(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=0.3)
for epoch in range(15):
    for rows in torch.randperm(600).split(30):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("weight_decay=0.3", "weight_decay=1e-5")
