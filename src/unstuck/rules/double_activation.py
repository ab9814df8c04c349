"""The output passes through a softmax or sigmoid twice: once in the network, once in the loss.

## Why it hurts
`CrossEntropyLoss` expects logits and applies log-softmax itself; `BCEWithLogitsLoss` applies its own sigmoid. Outputs
of a softmax lie between 0 and 1, and a second softmax makes them nearly equal: with ten classes the loss cannot fall
below 1.46 even if every answer is right, and each of the two functions makes the gradient smaller. The network learns
slowly, or not at all.

## How it is seen
The recorded calls between the network's last weights and the loss contain a function that makes probabilities, and
another one follows, the loss's own included. A log-softmax before a loss that applies log-softmax again changes
nothing; the message says so.

## What to do
Give the loss the raw logits. Apply softmax or sigmoid only where probabilities are reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.drop_activation import DropActivation
from unstuck.signals.losses import Ending, Losses
from unstuck.tape.program import Call

STAGE = Stage.OUTPUT
NEVER_MEANT = True


def check(losses: Losses) -> Iterator[Finding]:
    """Each loss on an output that is a probability already."""
    for ending in losses.endings:
        squashed = losses.known[ending.output].squashed if ending.output is not None else ()
        own = ending.loss.op.applies
        if squashed and (own or len(squashed) > 1):
            yield _finding(ending, squashed[0], own or squashed[-1].name)


def _finding(ending: Ending, first: Call, second: str) -> Finding:
    again = f"{ending.loss.name} applies its own {second}" if ending.named else f"a second one, {second}, follows"
    said = f"the output passes through {first.name} before {again}"
    harmless = first.name == "log_softmax" and second in ("softmax", "log_softmax")
    if harmless:
        said += " (log-softmax of log-softmax is log-softmax, so this alone does no harm)"
    evidence = [Evidence("activations before the loss's own", 1.0, "0")]
    if ending.loss.name == "cross_entropy" and first.name == "softmax" and len(first.shape) > 1:
        # The best output is one-hot: log(e + C - 1) - 1.
        floor = math.log(math.e + first.shape[1] - 1) - 1
        evidence.append(Evidence(f"lowest loss possible with {first.shape[1]} classes", floor, "0"))
    remedies = (DropActivation(first.site, first.name),) if first.site is not None else ()
    known = "guessed" if harmless else "observed"
    return Finding("double-activation", said, first.site, tuple(evidence), remedies, known=known)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(900, 8)
y = (x @ torch.randn(8, 12)).argmax(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(8, 32)
        self.out = nn.Linear(32, 12)

    def forward(self, x):
        h = torch.tanh(self.hidden(x))
        return {out}


model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
for epoch in range(12):
    for rows in torch.randperm(900).split(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(out="torch.softmax(self.out(h), dim=1)")
QUIET = _SCRIPT.format(out="self.out(h)")
