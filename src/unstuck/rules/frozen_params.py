"""Weights that need training never change: requires_grad is False, or no step uses them.

## Why it hurts
Freezing keeps what a layer has learnt elsewhere. If it has learnt nothing yet (random embeddings, a backbone whose
checkpoint was never loaded, vectors given to `Embedding.from_pretrained`, which freezes by default), it stays random,
and the layers behind it learn from random features.

## How it is seen
The recorded step reads weights with `requires_grad=False`, and the run learns poorly, or these weights still hold what
their constructors drew. Weights that the same run has trained before it froze them are left alone. A replay that trains
them too shows whether that helps. A frozen backbone whose head learns well is a hint at most. Or an optimizer holds
weights that evaluations read and no step of the whole run does (a loss that returns after the first of several heads).

## What to do
Remove `requires_grad = False`, or pass `freeze=False`; and give these weights to the optimizer too. Let the loss depend
on every part of the network that is used afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Site, proven
from unstuck.diagnosis.skill import fair
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.unfreeze import Unfreeze
from unstuck.signals.coverage import Coverage, changed, size
from unstuck.signals.learning import Learning
from unstuck.tape.model import Parameter, Tape
from unstuck.tape.program import Weight

STAGE = Stage.WIRING
FAULT = "frozen-params"


def check(coverage: Coverage, learning: Learning | None, tape: Tape) -> Iterator[Finding]:
    """Report the weights of the step that cannot change, if the run learns poorly or they have learnt nothing yet; and
    those that no step uses."""
    yield from _never_trained(tape)
    frozen = [p for p in coverage.frozen if changed(tape, p.name) is not True]
    if frozen and learning is not None:
        if not fair(learning.final):
            yield _frozen(frozen, coverage, tape, "the run learns poorly")
        elif coverage.unlearnt:
            yield _frozen(frozen, coverage, tape, "they hold what their constructors drew, and have learnt nothing")


def _frozen(frozen: list[Parameter], coverage: Coverage, tape: Tape, why: str) -> Finding:
    names = tuple(p.name for p in frozen)
    numbers, others = sum(map(size, frozen)), sum(map(size, (*coverage.held, *coverage.loose)))
    few = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    return Finding(
        FAULT,
        f"{numbers:,} of {numbers + others:,} weights are frozen (requires_grad=False): {few}; {why}",
        _reads(tape, frozen[0].name),
        (Evidence("share of the weights that are frozen", numbers / max(numbers + others, 1), "0"),),
        (Unfreeze(names, coverage.optimizer),),
        known="observed",
    )


def _never_trained(tape: Tape) -> Iterator[Finding]:
    """An optimizer holds weights that evaluations read, and no training step of the whole run does."""
    steps = {name for p in tape.passes for name in tape.programs[p.program].weights()}
    judged = [tape.programs[e.program] for e in tape.evaluations]
    read = {name for program in judged for name in program.weights()}
    held = {p.name for p in tape.parameters if p.trainable and p.optimizer >= 0}
    left = sorted(n for n in held & read - steps if changed(tape, n) is False)
    if tape.cut or not left or not steps & read:
        return
    call = next(c for program in judged for c in program.calls if set(c.weights()) & set(left))
    more = f" and {len(left) - 1} more" if len(left) > 1 else ""
    said = (
        f"no training step uses {left[0]}{more}, which an optimizer holds and evaluations read: no gradient reaches it"
    )
    evidence = Evidence("weights that evaluations read and no training step does", len(left), "none")
    told = proven(f"in {len(tape.passes)} steps they kept their first values")
    yield Finding(FAULT, said, call.site, (evidence,), known="observed", effect=told)


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
