"""The network overfits: its held-out loss is far above its training loss.

## Why it hurts
The network goes on learning details of the training rows that do not hold for other rows. Up to a point this does no
harm, and every large network does it; but once the held-out loss has been rising for long, an earlier state of the
weights was the better one.

## How it is seen
The last evaluations are computed again with the final weights, and their loss (the training's, whatever number they
lead to) is compared with the last training losses. The gap must be the same where the evaluation's rows go through the
recorded training step with the last weights, in training mode and in evaluation mode: otherwise something is wrong with
the evaluation itself (its preparation, its weights, its statistics), and this rule is silent. It is a hint, never an
error.

## What to do
Early stopping: keep the weights of the epoch with the lowest held-out loss. Otherwise more data, data augmentation,
weight decay or dropout, or a smaller network.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from statistics import mean

import msgspec
import torch

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.diagnosis.stages import Stage
from unstuck.signals.evaluation import answers
from unstuck.signals.losses import Losses
from unstuck.signals.training_path import TrainingPath
from unstuck.tape.interpreter import CannotReplay, run
from unstuck.tape.model import Evaluation, Tape
from unstuck.tape.program import Outside, Program, Ref, Value, mapped

STAGE = Stage.REGULARISATION
APART = 2.0
"""The held-out loss is at least twice the training loss: dropout or augmentation alone rarely account for that."""
LEAST = 0.2
"""The gap is at least this share of the loss at the start: ratios of two losses near zero mean nothing."""
LATE = 0.1
"""The last tenth of the passes is compared."""
ASKED = 8
"""Evaluations that are computed again at most: a few batches tell a factor of two."""


def check(tape: Tape, losses: Losses, path: TrainingPath) -> Iterator[Finding]:
    """Compare the two losses at the end of the run."""
    name = losses.task.loss.name if losses.task.loss is not None else ""
    late = [p.loss for p in tape.passes[-max(1, int(LATE * len(tape.passes))) :]]
    held = [x for e in _last(tape, name) if (x := _loss(tape, e, name)) is not None] or list(_on_answers(tape, losses))
    if not held or not all(map(math.isfinite, (*late, *held))):
        raise NotApplicable("no recorded evaluation near the end has outputs and targets for the training loss")
    training, other, start = mean(late), mean(held), abs(mean(p.loss for p in tape.passes[:5]))
    gap = other > APART * max(training, 0.0) and other - training > LEAST * start
    if gap and path.apart(APART, LEAST * start):
        evidence = (
            Evidence("training loss at the end", training, "close to the held-out loss"),
            Evidence("held-out loss at the end", other, "close to the training loss"),
        )
        said = f"the network overfits: held-out loss {other:.4g}, training loss {training:.4g}"
        yield Finding("overfitting", said, None, evidence)


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


def _on_answers(tape: Tape, losses: Losses) -> Iterator[float]:
    """The training loss of outputs and targets whose evaluation led to another number (an accuracy)."""
    task = losses.task
    if task.loss is None or task.output is None or task.target is None:
        return
    places: dict[Ref, Ref] = {Value(task.output): Outside(0), Outside(task.target): Outside(1)}
    turn = lambda leaf: places.get(leaf, leaf) if isinstance(leaf, Value | Outside) else leaf
    if any(ref not in places for ref in task.loss.refs()):
        return
    call = msgspec.structs.replace(
        task.loss, args=mapped(task.loss.args, turn), kwargs=mapped(task.loss.kwargs, turn), grad=False
    )
    alone = Program((call,), call.outs[0])
    for _, _, output, wanted in islice(answers(tape), ASKED):
        with suppress(CannotReplay, RuntimeError, KeyError, IndexError, TypeError, ValueError):
            yield float(run(alone, {}, (output, wanted), {})[call.outs[0]].double().mean())


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
