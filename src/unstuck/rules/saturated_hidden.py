"""Hidden sigmoids or tanhs are saturated: they stand at their ends and pass no gradient back.

## Why it hurts
At 4, tanh is within a thousandth of 1 and its slope is 0.001; a sigmoid needs 7 for the same. A unit that every input
drives there says the same about each of them, and the layers in front of it learn a thousand times slower than those
behind. The network then works with its last layers only.

## How it is seen
The recorded step is run again at the first and the last weights: most values of a hidden sigmoid or tanh lie at its
ends. Raw inputs, a steep factor, large weights or a high rate drive them there; gates that have learnt to be open or
shut are fine, and so is a run that learns well.

## What to do
Bring inputs to unit size, take steep factors out, draw weights by the number of connections
(`nn.init.xavier_uniform_`), or use ReLU.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.remedies.replace_activation import ReplaceActivation
from unstuck.rules._steep import milder
from unstuck.signals.activations import Activations, Layer
from unstuck.signals.learning import Learning
from unstuck.signals.task import Task
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Value

FLAT = 0.999
"""Of the way from the middle to an end: the slope there is 1/500 of the steepest."""
MOST = 0.5
"""Share of a layer's values that lie at the ends; drawn as usual, it is nearly none."""
LEARNT = 0.9
"""A run of this skill can do with what it has."""
MIDDLE = {"tanh": (0.0, 1.0), "sigmoid": (0.5, 0.5), "hardtanh": (0.0, 1.0), "hardsigmoid": (0.5, 0.5)}
"""Middle and half height of each function."""


def check(activations: Activations, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Read the values of every hidden sigmoid and tanh; the worst layer speaks for all."""
    if learning.final >= LEARNT:
        return
    layers = [x for x in activations.layers if x.call.name in MIDDLE and not _is_output(x, activations, learning.task)]
    flat = [(max(_share(x, "start"), _share(x, "end")), x) for x in layers]
    bad = [pair for pair in flat if pair[0] >= MOST]
    if not bad:
        return
    share, worst = max(bad, key=lambda pair: pair[0])
    name = worst.call.name
    yield Finding(
        "saturated-hidden",
        f"{share:.0%} of the values of a hidden {name} stand at its ends, where no gradient passes"
        + (f" ({len(bad)} of {len(layers)} such layers)" if len(layers) > 1 else ""),
        worst.call.site,
        (
            Evidence(f"share of {name} at its ends, at the start", _share(worst, "start"), "below 0.1"),
            Evidence(f"share of {name} at its ends, at the end", _share(worst, "end"), f"below {MOST:g}"),
        ),
        _remedies(activations, [x for _, x in bad], tape),
    )


def _is_output(layer: Layer, activations: Activations, task: Task) -> bool:
    """Whether a layer's values are the output (or become it by a change of form)."""
    if task.output is None:
        return False
    wanted: Call | None = activations.program.maker(Value(task.output))
    while wanted is not None and wanted is not layer.call and (wanted.op.hands_on or wanted.name == "mul"):
        wanted = activations.program.maker(wanted.refs()[0])
    return wanted is layer.call


def _share(layer: Layer, when: str) -> float:
    middle, half = MIDDLE[layer.call.name]
    return 1.0 - layer.share(when, middle - FLAT * half, middle + FLAT * half)


def _remedies(activations: Activations, layers: list[Layer], tape: Tape) -> tuple[Remedy, ...]:
    found = milder(activations.program, [x.call for x in layers], tape)
    other = ReplaceActivation.of(activations.program, layers[0].call.name)
    return (*found, other) if other.sites else found


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 6)
y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3]
first, second, last = nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 1)
optimizer = torch.optim.Adam([*first.parameters(), *second.parameters(), *last.parameters()], lr=0.003)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        h = torch.tanh(100 * first(x[rows]))
        h = torch.tanh(100 * second(h))
        loss = nn.functional.mse_loss(last(h), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("100 * ", "")
