"""The held-out loss is far above the training loss.

## Why it hurts
The network goes on learning what is peculiar to the training rows. Up to a point that is no harm, and every large
network does it; where the held-out loss has been rising for long, an earlier state of the weights was the better one.

## How it is seen
The last evaluations that computed the training's own loss are computed again with the final weights, and held against
the last training losses. This is a hint, never an error.

## What to do
Keep the weights of the best held-out epoch; more data, weight decay or dropout; a smaller network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import mean

import torch

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.signals.losses import Losses
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Evaluation, Tape

APART = 2.0
"""The held-out loss is this many times the training loss ..."""
LEAST = 0.2
"""... and lies above it by this share of the loss at the start."""
LATE = 0.1
"""The last tenth of the passes is compared."""
ASKED = 8


def check(tape: Tape, endings: Losses) -> Iterator[Finding]:
    """The two losses at the end."""
    name = endings.task.loss.name if endings.task.loss is not None else ""
    late = [p.loss for p in tape.passes[-max(1, int(LATE * len(tape.passes))) :]]
    held = [x for e in _last(tape, name) if (x := _loss(tape, e, name)) is not None]
    if not held or not all(map(math.isfinite, (*late, *held))):
        raise NotApplicable("no evaluation computed the training's loss")
    training, other, start = mean(late), mean(held), abs(mean(p.loss for p in tape.passes[:5]))
    if other > APART * max(training, 0.0) and other - training > LEAST * start:
        evidence = (
            Evidence("training loss, at the end", training, "like the held-out loss"),
            Evidence("held-out loss, at the end", other, "like the training loss"),
        )
        said = f"the held-out loss ({other:.4g}) is far above the training loss ({training:.4g})"
        yield Finding("overfitting", said, None, evidence, (), "hint")


def _last(tape: Tape, name: str) -> list[Evaluation]:
    """The latest evaluations with that loss, of programs that can be run again."""
    fitting = [e for e in tape.evaluations if any(c.name == name for c in tape.programs[e.program].calls)]
    usable = [e for e in fitting if not tape.programs[e.program].missing]
    return [e for e in usable if e.after >= (1 - 2 * LATE) * len(tape.passes)][-ASKED:]


def _loss(tape: Tape, evaluation: Evaluation, name: str) -> float | None:
    program = tape.programs[evaluation.program]
    final = {p.name: tape.tensors.get(f"f:{p.name}", tape.start(p.name)) for p in tape.parameters}
    try:
        with torch.no_grad():
            values = run(program, final, tuple(tape.tensors[k] for k in evaluation.outside), {})
    except (CannotReplay, RuntimeError, KeyError, IndexError, TypeError, ValueError):
        return None
    call = next(c for c in program.calls if c.name == name)
    return float(values[call.outs[0]].double().mean())


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(12)
x = torch.randn({rows} + 200, 8)
y = x[:, :1] + torch.randn({rows} + 200, 1)
model = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Linear(128, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range({epochs}):
    for rows in torch.randperm({rows}).split(20):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        held = nn.functional.mse_loss(model(x[{rows}:]), y[{rows}:])
    print(epoch, loss.item(), held.item())
"""

FIRES = _SCRIPT.format(rows=40, epochs=80)
QUIET = _SCRIPT.format(rows=1000, epochs=4)
