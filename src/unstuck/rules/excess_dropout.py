"""Dropout is so strong, or so placed, that learning stalls.

## Why it hurts
Dropout multiplies the signal by noise. At 0.5 in a wide layer the rest can stand in for what is missing; at 0.8 in a
narrow one, or several times in a row, what is left is different at every step, and the network learns to ignore its
inputs. On the outputs themselves it sets right answers to zero.

## How it is seen
The recorded step drops a large share, or drops after the last layer; and the trained network, run again with nothing
dropped, does not know the task either (a network that does merely looks worse while it trains, which is how dropout
works).

## What to do
0.1 to 0.3 in hidden layers, up to 0.5 in wide ones, never after the last layer.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.set_dropout import SetDropout
from unstuck.signals.weights import LAYERS
from unstuck.signals.without_dropout import WithoutDropout, rate
from unstuck.tape.program import Call, Program, Value, Weight

STRONG = 0.6
"""Dropped share from which on a layer is suspect."""
KNOWS = 0.7
"""Skill without dropout: the network learns in spite of it."""
MILD = 0.1
"""What the dropout is set to."""


def check(undropped: WithoutDropout) -> Iterator[Finding]:
    """Look at every dropout of a network that knows little without it, too."""
    if undropped.skill >= KNOWS:
        return
    last = [c for c in undropped.drops if not _layer_follows(undropped.program, c)]
    strong = [c for c in undropped.drops if rate(c) >= STRONG]
    if not last and not strong:
        return
    call = (last or strong)[0]
    what = "drops from the outputs themselves" if last else "drops more than the rest can stand in for"
    remedy = SetDropout(0.0, 0.0) if last else SetDropout(MILD, STRONG - 0.01)
    yield Finding(
        "excess-dropout",
        f"dropout of {rate(call):g} {what}: even with nothing dropped, the trained network has a skill of "
        f"{undropped.skill:.2f} only",
        call.site,
        (
            Evidence("share dropped", rate(call), f"below {STRONG:g}, and none after the last layer"),
            Evidence("skill at the end with nothing dropped", undropped.skill, f"above {KNOWS:g}"),
        ),
        (remedy,),
    )


def _layer_follows(program: Program, call: Call) -> bool:
    """Whether what a call makes meets further weights."""
    alive = {Value(out) for out in call.outs}
    for later in program.calls:
        if any(r in alive for r in later.refs()):
            if later.name in LAYERS and any(isinstance(r, Weight) for r in later.refs()):
                return True
            alive |= {Value(out) for out in later.outs}
    return False


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 8)
y = (x[:, 0] * x[:, 1] > 0).long()
drop = nn.Dropout(0.9)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), drop, nn.Linear(32, 32), nn.ReLU(), drop, nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("0.9", "0.1")
