"""Weight decay outweighs the loss: the weights are pulled to zero faster than they learn.

## Why it hurts
Weight decay adds its own gradient, proportional to the weights. Where it is larger than what the loss has to say, the
weights shrink towards zero and the outputs towards one value for every input. With Adam the decay enters the gradient
before it is normalised, so values that are harmless with plain descent (0.01, 0.1) can be all that Adam follows.

## How it is seen
The optimizer's own options: the decay, against the gradient of the loss (or, for decoupled decay, against the length of
the run), in a run that learns poorly. Whether it is what holds the run back, a replay without it decides.

## What to do
Leave it out first. For AdamW 0.01 is usual, for Adam and SGD 1e-4 or less.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.set_weight_decay import SetWeightDecay
from unstuck.rules._places import optimizer_site
from unstuck.signals.gradients import Gradients
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape

SHARE = 0.1
"""Of the loss's gradient: from here on the decay has a say in where the weights go."""
SHRUNK = 0.3
"""Share of the weights that decay alone would take away over the run."""
LEARNT = 0.9
"""A run of this skill bears its decay."""


def check(tape: Tape, gradients: Gradients, learning: Learning) -> Iterator[Finding]:
    """Read each optimizer's decay against what the loss says."""
    if learning.final >= LEARNT:
        return
    for number, optimizer in enumerate(tape.optimizers):
        decay = max((float(g.get("weight_decay") or 0.0) for g in optimizer.groups), default=0.0)
        share, shrunk = _share(tape, gradients, number, decay), _shrunk(tape, number, decay)
        decoupled = optimizer.name == "AdamW" or any(g.get("decoupled_weight_decay") for g in optimizer.groups)
        if decay <= 0 or (shrunk < SHRUNK and (decoupled or share < SHARE)):
            continue
        yield Finding(
            "weight-decay-too-high",
            f"weight decay {decay:g}: its pull is {share:.2g} of the gradient of the loss, and it alone would take "
            f"{shrunk:.0%} of the weights away",
            optimizer_site(tape),
            (
                Evidence("pull of the decay / gradient of the loss, at the start", share, f"below {SHARE:g}"),
                Evidence("share of the weights that the decay alone takes away", shrunk, f"below {SHRUNK:g}"),
            ),
            (SetWeightDecay(0.0, number, optimizer_site(tape)),),
        )


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
