"""Batch normalisation is used so that its statistics are wrong, or so that there are none.

## Why it hurts
In training, batch norm uses the batch's own mean and spread; in evaluation a running average of them. A momentum near 0
(TensorFlow's 0.99 is PyTorch's 0.01; 0.001 needs thousands of steps) leaves the average where it began, one near 1
makes it the last batch's: training looks perfect and evaluation is useless. A batch of one row has no spread at all,
and PyTorch stops with an error.

## How it is seen
The momentum of the recorded calls, and the running statistics that evaluations used, against the values that were
normalised by them; or the error itself.

## What to do
Leave the momentum at 0.1. `DataLoader(..., drop_last=True)` where the last batch may be a single row; more rows to a
batch, or `LayerNorm`, where batches are tiny.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Site
from unstuck.remedies.drop_last import DropLast
from unstuck.remedies.set_batch import SetBatch
from unstuck.remedies.set_momentum import SetMomentum
from unstuck.signals.running import SHIFTED, STRETCHED, Norm, Running
from unstuck.tape.model import Tape

SLOW, FAST = 0.02, 0.8
"""Momenta outside these follow the data too slowly for most runs, or hardly average."""
ALONE = "Expected more than 1 value per channel"
"""What torch says to a batch of one row."""


def check(tape: Tape, running: Running | None) -> Iterator[Finding]:
    """Look at the error, then at the statistics."""
    if tape.error and ALONE in str(tape.error.get("message", "")):
        yield _alone(tape)
    elif running is not None:
        yield from _off(running, tape)


def _alone(tape: Tape) -> Finding:
    assert tape.error is not None
    site = next((Site(s["file"], s["line"]) for s in tape.error.get("sites", ())), None)
    said = "a batch of one row reaches batch normalisation in training: it has no spread"
    told = f"the script stops with: {tape.error['message'][:100]}"
    remedy = DropLast() if tape.passes else SetBatch()  # the very first batch: they all have one row
    return Finding("batchnorm-misuse", said, site, (), (remedy,), "error", demonstrated=told)


def _off(running: Running, tape: Tape) -> Iterator[Finding]:
    extreme = [m for m in running.momenta if not SLOW <= m <= FAST]
    off = [n for n in running.norms if n.off]
    if not off or len(off) < len(running.norms) / 2 or not extreme:
        return
    worst = max(off, key=lambda n: n.shift + n.stretch)
    told = f"at the last evaluation {_said(worst)}; the momentum is {extreme[0]:g}"
    yield Finding(
        "batchnorm-misuse",
        f"batch norm's momentum {extreme[0]:g} leaves its running statistics wrong: {_said(worst)}",
        worst.call.site,
        (
            Evidence("momentum", extreme[0], f"{SLOW:g} to {FAST:g}, usually 0.1"),
            Evidence("running mean, in spreads from the mean", worst.shift, f"below {SHIFTED:g}"),
            Evidence("running spread against the spread", worst.stretch, f"below {STRETCHED:g} times"),
        ),
        (SetMomentum(0.1),),
        "error",
        demonstrated=told,
    )


def _said(norm: Norm) -> str:
    """How wrong one layer's statistics are."""
    return f"the mean it used was {norm.shift:.2g} spreads off and the spread {norm.stretch:.2g}-fold"


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] > x[:, 1]).long()
x = x * torch.tensor([1.0, 30.0, 1.0, 1.0, 1.0, 1.0]) + torch.tensor([5.0, 90.0, 1.0, 3.0, 8.0, 2.0])
model = nn.Sequential(nn.BatchNorm1d(6, momentum=0.0005), nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    model.train()
    for rows in torch.randperm(500).split(25):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print((model(x[500:]).argmax(1) == y[500:]).float().mean().item())
"""
QUIET = FIRES.replace("momentum=0.0005", "momentum=0.1")
