"""Weights that need training are frozen: their requires_grad is False.

## Why it hurts
Freezing keeps what a layer has learnt elsewhere. If it has learnt nothing yet (random embeddings, a backbone whose
checkpoint was never loaded, vectors given to `Embedding.from_pretrained`, which freezes by default), it stays random,
and the layers behind it learn from random features.

## How it is seen
The recorded step reads weights with `requires_grad=False`, and the run learns poorly. A replay that trains them too
shows whether that helps. A frozen backbone whose head learns well is not reported.

## What to do
Remove `requires_grad = False`, or pass `freeze=False`; and give these weights to the optimizer too.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Site
from unstuck.diagnosis.skill import fair
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.unfreeze import Unfreeze
from unstuck.signals.coverage import Coverage, size
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape
from unstuck.tape.program import Weight

STAGE = Stage.WIRING


def check(coverage: Coverage, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Report the weights of the step that cannot change, if the run learns poorly."""
    if not coverage.frozen or fair(learning.final):
        return
    names = tuple(p.name for p in coverage.frozen)
    numbers, others = sum(map(size, coverage.frozen)), sum(map(size, coverage.held))
    few = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    yield Finding(
        "frozen-params",
        f"{numbers:,} of {numbers + others:,} weights are frozen (requires_grad=False): {few}; the run learns poorly",
        _reads(tape, coverage.frozen[0].name),
        (Evidence("share of the weights that are frozen", numbers / max(numbers + others, 1), "0"),),
        (Unfreeze(names, coverage.optimizer),),
        known="observed",
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
