"""The network is too small for the task: too few units, a bottleneck, or no hidden layer at all.

## Why it hurts
A hidden layer of two units can pass on two numbers, whatever comes in and however long one trains; a boundary that
bends five times needs more than three ReLUs, and one linear map can only draw straight lines. The loss falls to a
certain height and stays there, and no rate changes that.

## How it is seen
A hidden layer has a handful of units only, or far fewer than the layers on both sides of it, or there is none, and the
run learns partly. Whether more units help is decided by a replay with a wider network; other remedies are tried first.

## What to do
Make hidden layers several times wider (32 to 128 units cost nothing), or add one.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.add_hidden import AddHidden
from unstuck.remedies.widen import Widen
from unstuck.signals.learning import Learning
from unstuck.signals.samples import Samples
from unstuck.signals.weights import Matrix, Weights, bypassed

TINY = 8
"""Units of the widest hidden layer, up to which the whole network counts as tiny."""
NECK = 3
"""Units of a layer between two wider ones that make a bottleneck."""
WIDE = 64
"""Width that is aimed at."""
LEARNT = 0.9
"""A run of this skill has room enough."""
ROWS = 500
"""Different rows from which on a hidden layer in the place of none learns more than to repeat them."""


def check(weights: Weights, learning: Learning, rows: Samples | None) -> Iterator[Finding]:
    """Look at the widths of the hidden layers."""
    hidden = [m for m in weights.matrices if m.hidden and m.call.op.kind != "recurrent"]
    if learning.final >= LEARNT:
        return
    if not hidden:
        yield from _linear(weights, learning, rows)
        return
    necks = (m for m in hidden if m.units <= NECK < _most(hidden))
    neck = next((m for m in necks if not bypassed(weights.program, m.call, learning.task.output)), None)
    widest = max(hidden, key=lambda m: m.units)
    if neck is None and widest.units > TINY:
        return
    narrow = neck or widest
    said = f"all goes through the {_units(narrow)} behind {narrow.name}" if neck else "the network is tiny"
    yield Finding(
        "under-capacity",
        f"{said}: its widest hidden layer has {widest.units} units; the run reaches a skill of {learning.final:.2f}",
        narrow.call.site,
        (
            Evidence("units of the narrowest hidden layer", min(m.units for m in hidden), f"above {TINY}"),
            Evidence("units of the widest hidden layer", widest.units, "32 or more"),
        ),
        (Widen(WIDE),),
    )


def _linear(weights: Weights, learning: Learning, rows: Samples | None) -> Iterator[Finding]:
    """The whole network is one linear layer."""
    one = weights.matrices[0]
    if len(weights.matrices) > 1 or one.call.name != "linear" or rows is None or rows.distinct < ROWS:
        return
    yield Finding(
        "under-capacity",
        f"the network is one linear map, {one.name}; the run reaches a skill of {learning.final:.2f}",
        one.call.site,
        (Evidence("hidden layers", 0, "1 where the answer does not change in proportion to the inputs"),),
        (AddHidden(one.name, WIDE),),
    )


def _units(layer: Matrix) -> str:
    return "one unit" if layer.units == 1 else f"{layer.units} units"


def _most(hidden: list[Matrix]) -> int:
    return max(m.units for m in hidden)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.rand(1000, 2) * 6 - 3
y = ((x[:, 0].sin() * x[:, 1].sin()) > 0).long()
model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(16):
    for rows in torch.randperm(1000).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)", "nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 2)")
