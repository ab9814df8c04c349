"""Weights that the network needs are frozen: requires_grad is False where learning is needed.

## Why it hurts
Freezing keeps what a layer has learnt elsewhere. A layer that has learnt nothing yet (random embeddings, a backbone
whose checkpoint was never loaded, vectors given to `Embedding.from_pretrained`, which freezes by default) is frozen
noise: the layers behind it learn from what happens to come through.

## How it is seen
The recorded step reads weights that do not ask for gradients, the run learns poorly, and a replay in which they are
trained as well learns clearly better. A frozen backbone that serves its head well is left alone.

## What to do
Remove `requires_grad = False`, or give `freeze=False`; and hand these weights to the optimizer too.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Site
from unstuck.remedies.unfreeze import Unfreeze
from unstuck.signals.coverage import Coverage, size
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape
from unstuck.tape.program import Weight

POOR = 0.7
"""Skill up to which a frozen part may be what holds a run back."""


def check(holding: Coverage, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Look for weights on the way that cannot change."""
    if not holding.frozen or learning.final >= POOR:
        return
    names = tuple(p.name for p in holding.frozen)
    numbers, others = sum(map(size, holding.frozen)), sum(map(size, holding.held))
    few = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    yield Finding(
        "frozen-params",
        f"{few}: {numbers} of {numbers + others} numbers are frozen, and the run learns poorly",
        _reads(tape, holding.frozen[0].name),
        (Evidence("share of the network's numbers that are frozen", numbers / max(numbers + others, 1), "0"),),
        (Unfreeze(names, holding.optimizer),),
    )


def _reads(tape: Tape, name: str) -> Site | None:
    calls = (c for p in tape.programs for c in p.calls if Weight(name) in c.refs())
    return next((c.site for c in calls if c.site is not None), None)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
words = torch.randint(0, 300, (600, 6))
mood = torch.randn(300)
label = (mood[words].sum(1) > 0).long()
table = nn.Embedding.from_pretrained(torch.randn(300, 3) * 0.1)
head = nn.Linear(3, 2)
weights = [p for p in [*table.parameters(), *head.parameters()] if p.requires_grad]
optimizer = torch.optim.Adam(weights, lr=0.02)
for epoch in range(15):
    for rows in torch.randperm(600).split(30):
        loss = nn.functional.cross_entropy(head(table(words[rows]).mean(1)), label[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("torch.randn(300, 3) * 0.1)", "torch.randn(300, 3) * 0.1, freeze=False)")
