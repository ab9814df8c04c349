"""Dropout is so strong, or so placed, that learning stalls.

## Why it hurts
Dropout multiplies the signal by noise. At 0.5 in a wide layer, the remaining units make up for the dropped ones; at 0.8
in a narrow layer, or several times in a row, too little is left at every step, and the network learns to ignore its
inputs. Dropout on the outputs sets right predictions to zero.

## How it is seen
The recorded step drops a large share, or drops after the last layer; and the trained network, run again on the last
batches without dropout, performs poorly too. (A network that performs well without it is not reported: a lower training
score is how dropout works.)

## What to do
Use 0.1 to 0.3 in hidden layers, up to 0.5 in wide ones, and none after the last layer.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.skill import FAIR, fair
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.set_dropout import SetDropout
from unstuck.signals.weights import layer_follows
from unstuck.signals.without_dropout import WithoutDropout, rate

STAGE = Stage.REGULARISATION
STRONG = 0.6
"""Above 0.5, which Srivastava et al. (2014) recommend for hidden layers, and which adds as much variance as there is
signal: p / (1 - p) = 1."""
MILD = 0.1
"""What the dropout is set to: the default of torch's transformer layers."""


def check(undropped: WithoutDropout) -> Iterator[Finding]:
    """Look at every dropout call of a network that performs poorly without dropout, too."""
    if fair(undropped.skill):
        return
    last = [c for c in undropped.drops if not layer_follows(undropped.program, c)]
    strong = [c for c in undropped.drops if rate(c) >= STRONG]
    if not last and not strong:
        return
    call = (last or strong)[0]
    what = "is applied to the outputs" if last else "leaves too little of the signal"
    yield Finding(
        "excess-dropout",
        f"dropout of {rate(call):g} {what}: without dropout, the trained network still has a skill of "
        f"{undropped.skill:.2f} only",
        call.site,
        (
            Evidence("dropout probability", rate(call), f"below {STRONG:g}, and none after the last layer"),
            Evidence("skill at the end without dropout", undropped.skill, f"above {FAIR:g}"),
        ),
        (SetDropout(0.0, 0.0) if last else SetDropout(MILD, STRONG - 0.01),),
        known="observed" if last else "guessed",
    )


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
