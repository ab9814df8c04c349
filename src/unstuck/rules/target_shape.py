"""Prediction and target have different shapes, and are spread against each other.

## Why it hurts
A prediction of shape (N, 1) less a target of shape (N,) is a table of (N, N) differences: every prediction is compared
with every target of the batch. The loss is lowest where all predictions are the mean target, so the network learns to
say that and nothing else. torch only warns, and only in its own losses.

## How it is seen
The shapes on the recorded calls: a loss, or a difference written by hand, is given two tensors of as many numbers whose
shapes differ, and what comes out is larger than either. Where torch refused the shapes, its last line is read.

## What to do
Make the shapes equal: `prediction.squeeze(1)`, or `target.unsqueeze(1)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding, Site
from unstuck.remedies.squeeze_prediction import SqueezePrediction
from unstuck.signals.losses import Ending, Losses
from unstuck.signals.refusal import refusal
from unstuck.tape.model import Tape

FAULT = "target-shape"
SPREADING = {"mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "sub", "subtract", "rsub"}
"""Calls that spread one argument against the other; the remaining losses insist on their shapes."""
REFUSALS = ("must be the same as input size", "multi-target not supported", "must match the size of tensor")
Shape = tuple[int, ...]


def check(tape: Tape) -> Iterator[Finding]:
    """Compare the shapes that every loss was given."""
    stopped = refusal(tape)
    if stopped is not None and any(words in stopped.message for words in REFUSALS):
        sure = f"torch itself stopped the run here: {stopped.message.splitlines()[0][:120]}"
        yield from _told(stopped.loss, stopped.site, stopped.input.shape, stopped.target.shape, sure)
    if tape.passes:
        endings = Losses.read(tape)
        for ending in endings.endings:
            yield from _spread(endings, ending)


def _spread(endings: Losses, ending: Ending) -> Iterator[Finding]:
    output, target = endings.shape(ending.output), endings.shape(ending.target)
    if ending.loss.name not in SPREADING or ending.loss.site is None or not spreads(output, target):
        return
    sure = "torch compares every prediction with every target here" if ending.named else ""
    sides = (target, output) if ending.swapped else (output, target)
    yield from _told(ending.loss.name, ending.loss.site, *sides, sure)


def spreads(one: Shape, other: Shape) -> bool:
    """Whether two shapes of as many numbers give more numbers than either when they meet."""
    if one == other or not one or not other or math.prod(one) != math.prod(other):
        return False
    try:
        return math.prod(torch.broadcast_shapes(one, other)) > math.prod(one)
    except RuntimeError:
        return False


def _told(loss: str, site: Site, first: Shape, second: Shape, sure: str) -> Iterator[Finding]:
    """`first` and `second` in the order in which the loss is given them; the longer shape is the one to shorten."""
    side = 0 if len(first) > len(second) else 1
    longer = (first, second)[side]
    can = len(longer) > 1 and longer[-1] == 1
    evidence = (
        Evidence("shape of the first", str(first), "equal"),
        Evidence("shape of the second", str(second), "equal"),
    )
    said = f"{loss} is given a {_words(first)} against a {_words(second)}"
    said += ": every prediction is compared with every target" if "stopped" not in sure else ""
    yield Finding(
        FAULT, said, site, evidence, (SqueezePrediction(site, side),) if can else (), "error", demonstrated=sure
    )


def _words(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(3)
x = torch.randn(400, 4)
y = x[:, 0] - 2 * x[:, 1] * x[:, 2]
model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(15):
    for rows in torch.randperm(400).split(25):
        prediction = model(x[rows]){squeezed}
        loss = ((prediction - y[rows]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(squeezed="")
QUIET = _SCRIPT.format(squeezed=".squeeze(1)")
