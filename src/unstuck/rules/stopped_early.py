"""Training is ended by a condition while the network still learns.

## Why it hurts

Early stopping waits for a number of epochs without an improvement. With a patience of one or two epochs, a score that
is compared the wrong way round, a counter that is never set back or a best score that is never updated, it ends the
training at the first chance, and the network has hardly begun.

## How it is seen

The script ended by itself, its training loop can be left by a `break` or `return` under a condition, and its training
loss still fell over the second half of the run. The script is run again without that exit: it must train for longer,
and come further.

## What to do

Check the condition: which way the score is compared, where the counter is set back, and whether the best score is
updated. Validation scores differ from epoch to epoch by chance: wait for ten epochs or so.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator, Sequence

import numpy as np

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.train_on import TrainOn
from unstuck.signals.source import Loop
from unstuck.signals.training import Training
from unstuck.tape.model import Tape

FAULT = "stopped-early"
STAGE = Stage.OPTIMISATION
NEEDS_ROOM = True
FALLS, FEWEST = 2.0, 10
"""Standard errors: of a loss that no longer falls, the slope is below -2 in one run of 40. Losses, at least."""


def check(tape: Tape, training: Training) -> Iterator[Finding]:
    """Report the exits of the training loop, where the loss still fell at the end of a whole run."""
    if not tape.stopped.startswith("script ended") or tape.error is not None:
        raise NotApplicable("the script did not come to its own end")
    trend = _trend(tape.losses[len(tape.losses) // 2 :])
    if not trend < -FALLS:
        return
    for node, loop in _exits(training):
        site = training.source.site(node)
        word = "break" if isinstance(node, ast.Break) else "return"
        said = (
            f"training ends while its loss still falls; the {word} in line {site.line} can leave the loop "
            f"of line {loop.lineno}; check its condition"
        )
        evidence = Evidence("slope of the loss over the second half, in standard errors", trend, f"above {-FALLS:g}")
        yield Finding(FAULT, said, site, (evidence,), (TrainOn(site),), known="guessed")


def _trend(losses: Sequence[float]) -> float:
    """Slope of a straight line through the losses over its standard error; 0 for fewer than FEWEST."""
    y = np.asarray(losses, dtype=float)
    if len(y) < FEWEST or not np.isfinite(y).all():
        return 0.0
    x = np.arange(len(y)) - (len(y) - 1) / 2
    slope = float(x @ y / (x @ x))
    left = float(np.sum((y - y.mean() - slope * x) ** 2))
    return slope / math.sqrt(max(left, 1e-30) / (len(y) - 2) / float(x @ x))


def _exits(training: Training) -> Iterator[tuple[ast.Break | ast.Return, Loop]]:
    """What leaves a loop over epochs, or the only loop of the training, under a condition."""
    for chain in training.training_chains:
        for loop in chain[1:] or chain:
            for kind in (ast.Break, ast.Return):
                for node in training.source.all(kind, loop):
                    if _leaves(training, node, loop) and training.guarded(node, loop):
                        yield node, loop


def _leaves(training: Training, node: ast.Break | ast.Return, loop: Loop) -> bool:
    """Whether an exit leaves the loop, rather than an inner loop or function."""
    if _function(training, node) is not _function(training, loop):
        return False
    inner = next(iter(training.source.loops(node)), None)
    return inner is loop or (isinstance(node, ast.Return) and inner is not None and inner not in training.batch_loops)


def _function(training: Training, node: ast.AST) -> ast.AST | None:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    return next((above for above in training.source.above(node) if isinstance(above, kinds)), None)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(1000, 8)
y = (x[:, :4].sin().sum(1) + x[:, 4] * x[:, 5] > 0).long()
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
best, waited = float("inf"), 0
for epoch in range(60):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        held_out = nn.functional.cross_entropy(model(x[800:]), y[800:]).item()
    print(epoch, held_out)
    if held_out > best:
        best, waited = held_out, 0
    else:
        waited += 1
    if waited >= 3:
        break
"""

QUIET = FIRES.replace("    if waited >= 3:\n        break\n", "")
