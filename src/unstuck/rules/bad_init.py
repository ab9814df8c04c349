"""The weights start in a place they cannot leave: all alike, far too large or far too small.

## Why it hurts
Units that start with the same weights in and out get the same gradient and stay the same unit for ever, however many
there are; weights of zero in more than one layer pass nothing forward and nothing back. Weights far too large for their
number of connections saturate every sigmoid and make a softmax certain of wrong answers; far too small ones make the
signal, and with it the gradient, shrink from layer to layer until nothing is left.

## How it is seen
Each layer's first weights are compared with the size that keeps a signal's size (one over the square root of the
connections), and its units with each other. A zero in the last layer, or at the end of a residual branch, is a good
start and is left alone unless the run learns poorly and a replay from other weights does better.

## What to do
PyTorch's own initialisation is fine for nearly everything: leave it, or use `nn.init.xavier_uniform_` (tanh, sigmoid)
and `nn.init.kaiming_uniform_` (ReLU), with biases of zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.signals.learning import Learning
from unstuck.signals.weights import Matrix, Weights
from unstuck.tape.model import Tape
from unstuck.tape.program import Weight

LARGE = 4.0
"""Gain from which on a layer is drawn too large: the usual rules give 0.5 to 1.5, and trained weights reach 2 or 3."""
SMALL = 0.06
"""Gain up to which it is drawn too small: two such layers make a signal of one three hundred times smaller."""
LEARNT = 0.9
"""A run of this skill started well enough."""


def check(weights: Weights, learning: Learning | None, tape: Tape) -> Iterator[Finding]:
    """Read every layer's first weights."""
    if learning is not None and learning.final >= LEARNT:
        return
    bad = [m for m in weights.matrices if _wrong(m)]
    if not bad:
        return
    worst = bad[0]
    yield Finding(
        "bad-init",
        f"{worst.name} starts {_wrong(worst)}" + (f" (and {len(bad) - 1} other layers badly too)" if bad[1:] else ""),
        worst.call.site,
        tuple(Evidence(f"{m.name}: size times square root of connections", m.gain, "0.5 to 1.5") for m in bad[:4]),
        (
            RedrawWeights(
                tuple(n for m in bad for n in (m.name, *_biases(tape, m))),
                rectified(c.name for c in weights.program.calls),
            ),
        ),
    )


def _wrong(matrix: Matrix) -> str:
    """What is wrong with a layer's start, as the end of a sentence ("" where nothing is)."""
    value = float(matrix.start.reshape(-1)[0])
    if matrix.constant and matrix.hidden:
        return f"with every weight at {value:g}: its {matrix.units} units start as one"
    if matrix.mirrored and matrix.hidden:
        return f"with the same weights in all of its {matrix.units} units"
    if matrix.gain > LARGE:
        return f"{matrix.gain:.3g} times too large for its {matrix.fan_in} connections"
    if 0 < matrix.gain < SMALL or (matrix.gain == 0 and matrix.hidden):
        return f"far too small: {matrix.gain:.2g} of the size that its {matrix.fan_in} connections call for"
    return ""


def _biases(tape: Tape, matrix: Matrix) -> tuple[str, ...]:
    """The layer's biases where they, too, start far from zero."""
    names = [r.name for r in matrix.call.refs() if isinstance(r, Weight) and tape.start(r.name).dim() == 1]
    return tuple(n for n in names if float(tape.start(n).abs().mean()) > 1.0)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 8)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
for weight in model.parameters():
    nn.init.constant_(weight, 0.1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(20):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("nn.init.constant_(weight, 0.1)", "nn.init.normal_(weight, std=0.3)")
