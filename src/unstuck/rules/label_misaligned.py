"""The labels do not belong to their rows, or have nothing to do with them.

## Why it hurts
Rows that were shuffled (or sorted, or filtered) without their labels are pairs of strangers. A network can learn such
pairs by heart, one by one: its training loss falls, slowly, while it knows nothing about any row it has not seen.

## How it is seen
By two experiments. The network as written is trained on one half of the recorded rows and asked about the other half:
it knows the first and not the second. And two simple learners (nearest neighbours, a linear fit) look for any relation
between rows and targets, each row left out in turn: they do no better than on targets in random order. Only both
together count: a network may fail to generalise for other reasons, and a simple learner may miss what is there. Where
rows have three features at most, a network cannot learn strangers by heart, and need not: neighbours are close there.

## What to do
Look at a few rows with their labels, just before training. Shuffle both with one permutation; take labels from the
shuffled table; join tables by their key, not by their position.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.replay.halves import Halves
from unstuck.signals.relation import Relation
from unstuck.tape.model import Tape

NOTHING = 3.0
"""Spreads from chance within which no relation was found; a real one of use to a network is tens of spreads away."""
KNOWN, UNKNOWN = 0.08, 0.04
"""Skill on rows it was trained on, and on the others: over hundreds of rows in eight lanes, chance is below 0.03."""
APART = 0.08
FEW, MANY = 3, 500
"""So many rows fill a space of so few dimensions: neighbours are close there and would show any relation, although no
network could learn so many strangers by heart."""


def check(tape: Tape, relation: Relation) -> Iterator[Finding]:
    """The second experiment is only made where the first found nothing."""
    if relation.strength > NOTHING:
        return
    halves = Halves.read(tape)
    by_heart = halves.seen >= KNOWN and halves.seen - halves.unseen >= APART
    dense = relation.features <= FEW and relation.rows >= MANY
    if halves.unseen > UNKNOWN or not (by_heart or dense):
        return
    evidence = (
        Evidence("skill on the half of the rows it was trained on", halves.seen, "above 0"),
        Evidence("skill on the other half", halves.unseen, "nearly as high"),
        Evidence("nearest neighbours, spreads from chance", relation.neighbours, "above 5"),
        Evidence("linear fit, spreads from chance", relation.linear, "above 5"),
    )
    said = "the labels have nothing to do with their rows: the network learns them by heart and knows no other row"
    if not by_heart:
        said = "the labels have nothing to do with their rows: not even close neighbours have the same"
    sure = (
        f"trained on half of the rows, its skill is {halves.seen:.2f} on them and {halves.unseen:.2f} on the others; "
        f"neighbours and a linear fit find no relation among {relation.rows} rows either"
    )
    yield Finding("label-misaligned", said, None, evidence, (), "error", demonstrated=sure)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(11)
x = torch.randn(400, 10)
y = (x @ torch.randn(10, 3)).argmax(1)
x = x[torch.randperm(400)]
{labels}
model = nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(30):
    for rows in torch.randperm(400).split(25):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(labels="")
QUIET = _SCRIPT.format(labels="y = (x @ torch.randn(10, 3)).argmax(1)")
