"""The output passes through a softmax or sigmoid, and then through the loss's own.

## Why it hurts
`CrossEntropyLoss` takes raw scores and applies log-softmax itself; `BCEWithLogitsLoss` applies its own sigmoid. Scores
that were squashed before lie between 0 and 1, and to the loss these are nearly equal: with ten classes it cannot fall
below about 1.46 even if every answer is right, and its gradient passes through two squashing functions, each of which
makes it smaller. The network learns slowly, or not at all.

## How it is seen
The calls between the last weights and the loss are read: two functions that make probabilities stand one after the
other, the loss's own included. A log-softmax in front of a loss that takes the log-softmax again changes nothing; it is
named as such.

## What to do
Give the loss the raw outputs. Where probabilities are wanted for a report, apply the function there.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.drop_activation import DropActivation
from unstuck.signals.losses import Ending, Losses
from unstuck.tape.program import Call

SQUASHING = {"softmax", "log_softmax", "sigmoid", "softmin"}
OWN = {
    "cross_entropy": "softmax",
    "binary_cross_entropy_with_logits": "sigmoid",
    "multilabel_soft_margin_loss": "sigmoid",
    "soft_margin_loss": "sigmoid",
}
"""What a loss applies itself."""
BETWEEN = {"clamp", "clip", "log", "add"}
"""Calls that may stand between the two without undoing the first."""


def check(endings: Losses) -> Iterator[Finding]:
    """Each loss that is given what has been squashed once already."""
    for ending in endings.endings:
        chain = squashed(ending)
        own = OWN.get(ending.loss.name, "")
        if chain and (own or len(chain) > 1):
            yield _finding(ending, chain[0], own or chain[-1].name)


def squashed(ending: Ending) -> list[Call]:
    """The squashing functions of the tail with nothing but handing on, clamps and logarithms behind them."""
    found: list[Call] = []
    for call in reversed(ending.bent):
        if call.name in SQUASHING:
            found.insert(0, call)
        elif call.name not in BETWEEN:
            break
    return found


def _finding(ending: Ending, first: Call, second: str) -> Finding:
    harmless = first.name == "log_softmax" and second in ("softmax", "log_softmax")
    again = f"{ending.loss.name} applies its own {second}" if ending.named else f"a {second} follows"
    said = f"the output has passed through {first.name} when {again}"
    if harmless:
        said += " (a log-softmax taken twice is the same as once, so this alone does no harm)"
    return Finding(
        "double-activation",
        said,
        first.site,
        (Evidence("squashing functions in front of the loss's own", 1.0, "0"),),
        (DropActivation(first.site, first.name),) if first.site is not None else (),
    )


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
