"""The network is too small for the task (underfitting): few units, a bottleneck, or no hidden layer.

## Why it hurts
A hidden layer of two units passes on two numbers, whatever the input and however long the training. A decision boundary
with five bends needs more than three ReLU units, and a linear model draws straight lines only. The loss falls to a
plateau and stays there at every learning rate.

## How it is seen
The widest hidden layer has a few units only, or one is far narrower than the layers on both sides, or there is none, or
embeddings without any layer hold a number or two for each index; and the run does not learn well. A replay of a wider
network shows whether more units help; other remedies are tried first.

## What to do
Make hidden layers several times wider (32 to 128 units), or add one.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.add_hidden import AddHidden
from unstuck.remedies.widen import Widen
from unstuck.rules._places import layer_site
from unstuck.signals.layers import Layers
from unstuck.signals.learning import Learning
from unstuck.signals.samples import Samples
from unstuck.signals.task import main_program
from unstuck.signals.weights import Matrix
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, Value

STAGE = Stage.CAPACITY
NEEDS_ROOM = True
TINY = 8
"""Units of the widest hidden layer up to which the network counts as tiny. Of 20 networks for the sign of a product of
two inputs (Adam, 400 steps), an accuracy of 0.9 is reached by none with 2 ReLU units, 10 with 4 and 19 with 8."""
NECK = 3
"""Units of a layer between wider ones that make a bottleneck: fewer numbers than most tables have columns."""
WIDE = 64
"""Width to try: scikit-learn's MLPs have 100 hidden units by default."""
ROWS = 500
"""Distinct rows from which on a hidden layer of WIDE units learns more than the rows by heart: with five inputs it has
450 weights."""


def check(layers: Layers, learning: Learning, rows: Samples | None, tape: Tape) -> Iterator[Finding]:
    """Look at the widths of the hidden layers; without any, at what tables of embeddings hold for each name."""
    if not any(c.weights() and c.op.kind != "lookup" for c in layers.program.calls):
        yield from _looked_up(learning, tape)
        return
    hidden = [m for m in layers.matrices if m.hidden and m.call.op.kind != "recurrent"]
    if not hidden:
        yield from _linear(layers, learning, rows, tape)
        return
    widest, narrowest = max(m.units for m in hidden), min(m.units for m in hidden)
    necks = (m for m in hidden if m.units <= NECK < widest)
    neck = next((m for m in necks if not _bypassed(layers.program, m.call, learning.task.output)), None)
    if neck is None and widest > TINY:
        return
    layer = neck or next(m for m in hidden if m.units == widest)
    said = (
        f"every prediction passes through the {_units(layer)} behind {layer.name}"
        if neck
        else "the network is very small"
    )
    yield Finding(
        "under-capacity",
        f"{said}: its widest hidden layer has {widest} units, and skill reaches {learning.final:.2f}",
        layer_site(tape, layer.name) or layer.call.site,
        (
            Evidence("units of the narrowest hidden layer", narrowest, f"above {TINY}"),
            Evidence("units of the widest hidden layer", widest, "32 or more"),
        ),
        (Widen(WIDE),),
    )


def _linear(layers: Layers, learning: Learning, rows: Samples | None, tape: Tape) -> Iterator[Finding]:
    """Report a network that is one linear layer."""
    one = layers.matrices[0]
    if len(layers.matrices) > 1 or one.call.name != "linear" or rows is None or rows.distinct < ROWS:
        return
    yield Finding(
        "under-capacity",
        f"the network is linear ({one.name} is its only layer), and skill reaches {learning.final:.2f}",
        layer_site(tape, one.name) or one.call.site,
        (Evidence("hidden layers", 0, "1 if the target is not a linear function of the inputs"),),
        (AddHidden(one.name, WIDE),),
    )


def _looked_up(learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Report a network of embeddings alone, each of which has a few numbers for what it stands for."""
    calls = tape.programs[main_program(tape)].calls
    found = [(c, name) for c in calls if c.op.kind == "lookup" for name in c.weights()]
    widths = [tape.start(name).shape[-1] for _, name in found]
    if not found or max(widths) > NECK:
        return
    (call, name), numbers = found[0], max(widths)
    each = "one number" if numbers == 1 else f"{numbers} numbers"
    yield Finding(
        "under-capacity",
        f"an embedding holds {each} for each index ({name}), and skill reaches {learning.final:.2f}",
        layer_site(tape, name) or call.site,
        (Evidence("numbers of the widest embedding", numbers, f"above {TINY}"),),
    )


def _units(layer: Matrix) -> str:
    return "one unit" if layer.units == 1 else f"{layer.units} units"


def _bypassed(program: Program, layer: Call, output: int | None) -> bool:
    """Whether the input reaches the output (None: the loss) around a layer: a gate is no bottleneck."""
    end = program.loss if output is None else output
    last = next((n for n, c in enumerate(program.calls) if end in c.outs), len(program.calls) - 1)
    alive: set[object] = set()
    for call in program.calls[: last + 1]:
        if call is not layer and any(isinstance(r, Outside) or r in alive for r in call.refs()):
            alive |= {Value(out) for out in call.outs}
    return Value(end) in alive


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.rand(1000, 2) * 6 - 3
y = ((x[:, 0].sin() * x[:, 1].sin()) > 0).long()
model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(16):
    for rows in torch.randperm(1000).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)", "nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 2)")
