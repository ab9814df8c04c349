"""Weights that the loss reaches are not in any optimizer.

## Why it hurts
An optimizer moves the tensors it was given when it was built, and no others. If it was given those of another model (or
of this model before it was built anew), of one part only, or a list that was empty or used up at the time, the loss is
computed by weights that never move.

## How it is seen
The recorded step says which weights the loss reaches by gradient; the optimizers that stepped say what they hold. Where
they hold none of them, that is the fault. Where they hold a part, it may be meant (a fixed part below a trained head):
then only a replay that trains the others too can tell.

## What to do
Build the optimizer after the model is complete, from `model.parameters()` of the model that computes the loss; with
several models, from the parameters of all.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.hold_parameters import HoldParameters
from unstuck.rules._places import optimizer_site
from unstuck.signals.coverage import Coverage, size
from unstuck.tape.model import Tape


def check(holding: Coverage, tape: Tape) -> Iterator[Finding]:
    """Compare what the loss reaches with what the optimizers hold."""
    loose = [p for p in holding.loose if p not in holding.unknown]
    if not loose:
        return
    names = tuple(p.name for p in loose)
    site = optimizer_site(tape)
    foreign = sum(o.foreign for o in tape.optimizers)
    evidence = (
        Evidence("share of the network's numbers that no optimizer holds", holding.share, "0"),
        Evidence("tensors held that no loss ever reached", foreign, "0"),
    )
    remedy = HoldParameters(names, holding.optimizer, site)
    told = _told(holding, foreign)
    yield Finding("optimizer-params", _said(holding, names, foreign), site, evidence, (remedy,), demonstrated=told)


def _said(holding: Coverage, names: tuple[str, ...], foreign: int) -> str:
    few = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    whose = f"; it holds {foreign} tensors that the loss never reaches" if foreign else ""
    if not holding.held:
        return f"the optimizer holds none of the {len(names)} weights that the loss reaches ({few}){whose}"
    numbers = sum(map(size, holding.loose))
    return f"no optimizer holds {few}: {numbers} of {numbers + sum(map(size, holding.held))} numbers never move{whose}"


def _told(holding: Coverage, foreign: int) -> str:
    if holding.held or not foreign:
        return ""
    return f"every step moved {foreign} tensors that the loss does not depend on, and none that it does"


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 8)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
for epoch in range(20):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("lr=0.01)\nmodel = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))", "lr=0.01)")
