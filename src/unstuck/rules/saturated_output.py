"""The output's sigmoid or softmax is saturated: it says 0 or 1 exactly, and no gradient comes back.

## Why it hurts
In float32, `sigmoid(z)` is exactly 1 from z = 16.6 on, with a slope of exactly 0; below z = -88.7 it is exactly 0.
`BCELoss` replaces the logarithm of 0 by -100, so the loss is a finite number that says nothing, and the gradient of
such a row is zero (or so large that the next step throws everything to the other side). A wrong answer given with such
certainty is never taken back.

## How it is seen
The recorded step is run again at the first and at the last weights: most outputs are exactly 0 or 1. The cause is
mostly further up: raw inputs, a steep factor, large first weights, a high rate.

## What to do
Take the factor out, bring inputs and weights to unit size; train on raw outputs with `BCEWithLogitsLoss` or
`CrossEntropyLoss`, whose gradient does not vanish however far off an answer is.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.remedies.loss_on_logits import LossOnLogits
from unstuck.rules._steep import milder
from unstuck.signals.activations import Activations, Layer
from unstuck.signals.learning import Learning
from unstuck.signals.task import Task
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Value

MOST = 0.5
"""Share of outputs that are exactly 0 or 1. A network that has learnt a clean task comes near it, and is left alone."""
LEARNT = 0.9
"""... by its skill."""
ENDS = {"sigmoid": "binary_cross_entropy", "softmax": "nll_loss", "expit": "binary_cross_entropy"}
WINDOW = "-88.7 to 16.6"
"""Where float32's sigmoid is neither 0 nor 1."""


def check(activations: Activations, learning: Learning, tape: Tape) -> Iterator[Finding]:
    """Count the outputs that are exactly 0 or 1."""
    call = _output(activations, learning.task)
    if call is None or learning.final >= LEARNT:
        return
    layer = activations.layer(call)
    share = {when: layer.share(when, 0.0, 0.0) + layer.share(when, 1.0, 1.0) for when in ("start", "end")}
    if max(share.values()) < MOST:
        return
    when = max(share, key=lambda w: share[w])
    yield Finding(
        "saturated-output",
        f"{share[when]:.0%} of the outputs of {call.name} are exactly 0 or 1 at the {when}: no gradient comes back",
        call.site,
        _evidence(activations, layer, call, when),
        _remedies(activations, learning.task, call, tape),
    )


def _output(activations: Activations, task: Task) -> Call | None:
    """The sigmoid or softmax that makes the output, seen through what only reshapes it."""
    program = activations.program
    call = program.maker(Value(task.output)) if task.output is not None else None
    while call is not None and (call.op.hands_on or call.name in ("clamp", "log")):
        call = program.maker(call.refs()[0])
    return call if call is not None and call.name in ENDS else None


def _evidence(activations: Activations, layer: Layer, call: Call, when: str) -> tuple[Evidence, ...]:
    found = [
        Evidence(f"share of outputs exactly 0.0 at the {when}", layer.share(when, 0.0, 0.0), "0"),
        Evidence(f"share of outputs exactly 1.0 at the {when}", layer.share(when, 1.0, 1.0), "0"),
    ]
    into = activations.into(call)
    if into is not None:
        largest = max(float(v.abs().max()) for v in getattr(into, when))
        found.append(Evidence("largest value the function is given", largest, f"within {WINDOW}"))
    return tuple(found)


def _remedies(activations: Activations, task: Task, call: Call, tape: Tape) -> tuple[Remedy, ...]:
    found = list(milder(activations.program, [call], tape))
    if task.loss is not None and task.loss.name == ENDS[call.name] and call.site is not None:
        found.append(LossOnLogits(call.site, call.name))
    return tuple(found)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 4)
y = (x[:, 0] + x[:, 1] * x[:, 2] > 0).float()
body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(body.parameters(), lr=0.1, momentum=0.9)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        out = torch.sigmoid(2000 * body(x[rows])).squeeze(1)
        loss = nn.functional.binary_cross_entropy(out, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("2000 * body(x[rows])", "body(x[rows])")
