"""The initial weights are all alike, far too large or far too small.

## Why it hurts
Units with the same initial weights, in and out, get the same gradient and stay the same unit, however many there are
(symmetry); zero weights in more than one layer pass nothing forward and no gradient back. Weights that are far too
large for their number of connections saturate sigmoids and make a softmax certain of wrong classes; far too small ones
shrink the signal and the gradient from layer to layer.

## How it is seen
The root mean square of each layer's initial weights is multiplied by the square root of its connections: a signal keeps
its size at about 1. Units of a layer are compared with each other. A last layer of zeros is a common choice and is not
reported. Where weights are too large by that measure and the first loss is many times what the best constant answer
costs, their effect is observed: the network begins by being certain of wrong answers.

## What to do
Use PyTorch's own initialisation, or `nn.init.xavier_uniform_` (tanh, sigmoid) and `nn.init.kaiming_uniform_` (ReLU),
with biases of zero.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.stages import Stage
from unstuck.micro.start_loss import StartLoss
from unstuck.remedies.redraw_weights import RedrawWeights, rectified
from unstuck.rules._places import values_site
from unstuck.signals.layers import Layers
from unstuck.signals.weights import Matrix
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

STAGE = Stage.INIT
NEEDS_ROOM = True
LARGE = 4.0
"""Gain above which a layer is too large: torch's `nn.init.calculate_gain` gives 1.67 at most (tanh), and the default of
`nn.Linear` is 0.58."""
SMALL = 0.06
"""Gain below which it is too small: two such layers make a signal 280 times smaller. A standard deviation of 0.01
(AlexNet) makes 0.087 of a 5x5 kernel over 3 channels; 0.02 (GPT-2) makes 0.55 of 768 connections."""
APART = 0.3
"""Distance of the units from their mean, relative to their size, from which on they are different ones: dropout alone
leaves them nearer."""
MOVED = 8
"""Steps after which a weight that gets a gradient has moved."""
BIASED = 1.0
"""Mean magnitude above which biases are redrawn too: torch draws them below 1 / sqrt(connections)."""


def check(layers: Layers, tape: Tape, start: StartLoss | None) -> Iterator[Finding]:
    """Compare the initial weights of every layer with its number of connections, and its units with each other."""
    bad = [m for m in layers.matrices if _wrong(m) and not _parted(tape, m)]
    if not bad:
        yield from _unmoved(layers.program, tape)
        return
    first, alike, loud = bad[0], any(_alike(m) for m in bad), _loud(bad, start)
    names = tuple(dict.fromkeys((*(n for m in bad for n in (m.name, *_biases(tape, m))), *_uniform(tape, alike))))
    yield Finding(
        "bad-init",
        f"{first.name} {_wrong(first)}" + (f" (and {len(bad) - 1} other layers)" if bad[1:] else ""),
        values_site(tape, first.name) or first.call.site,
        (*(Evidence(f"{m.name}: initial size * sqrt(connections)", m.gain, "0.5 to 1.5") for m in bad[:4]), *loud),
        (RedrawWeights(names, rectified(c.name for c in layers.program.calls)),),
        known="observed" if alike or loud else "guessed",
        effect=_stuck(tape, bad),
    )


def _unmoved(program: Program, tape: Tape) -> Iterator[Finding]:
    """Tables and matrices of any form that multiply each other, and were zeros from the first step to the last."""
    wide = [p.name for p in tape.parameters if p.trainable and p.optimizer >= 0 and tape.start(p.name).dim() > 1]
    read = [n for n in wide if n in program.weights() and f"f:{n}" in tape.tensors]
    zeros = [n for n in read if not bool(tape.start(n).any()) and not bool(tape.tensors[f"f:{n}"].any())]
    if len(zeros) < 2 or len(tape.updates) < MOVED:
        return
    said = f"{zeros[0]} starts as zeros (and {len(zeros) - 1} other weights), and {tape.steps} steps leave it so"
    reader = next(c for c in program.calls if zeros[0] in c.weights())
    evidence = Evidence("weights that were 0 from the first step to the last", float(len(zeros)), "0")
    effect = proven(f"after {tape.steps} steps they are 0 everywhere: zeros before or behind pass no gradient")
    remedy = RedrawWeights(tuple(zeros), rectified(c.name for c in program.calls))
    site = values_site(tape, zeros[0]) or reader.site
    yield Finding("bad-init", said, site, (evidence,), (remedy,), known="observed", effect=effect)


def _stuck(tape: Tape, bad: list[Matrix]) -> Effect:
    """Proven if layers that began as zeros are zeros still: zeros before or behind them pass no gradient."""
    zeros = [m.name for m in bad if m.constant == 0 and f"f:{m.name}" in tape.tensors]
    still = [name for name in zeros if not bool(tape.tensors[f"f:{name}"].any())]
    if not still or len(tape.updates) < MOVED:
        return Effect()
    return proven(
        f"{still[0]} is still 0 everywhere after {tape.steps} steps: zeros before or behind it pass no gradient"
    )


def _loud(bad: list[Matrix], start: StartLoss | None) -> tuple[Evidence, ...]:
    """The first loss, where it is that of weights that are too large."""
    if start is None or not start.times >= start.many or not any(m.gain > LARGE for m in bad):
        return ()
    return (Evidence("loss of the first step", start.first, f"about {start.constant:.3g}, of a constant answer"),)


def _alike(matrix: Matrix) -> bool:
    """Whether all units of a hidden layer start as one."""
    return matrix.hidden and (matrix.constant is not None or matrix.mirrored)


def _parted(tape: Tape, matrix: Matrix) -> bool:
    """Whether units that start as one have become different: random weights behind them, or noise, tell them apart."""
    last = tape.tensors.get(f"f:{matrix.name}") if _alike(matrix) else None
    if last is None or last.dim() < 2:
        return False
    units = last.double().flatten(1)
    return float((units - units.mean(0)).norm()) >= APART * float(units.norm()) > 0


def _uniform(tape: Tape, alike: bool) -> tuple[str, ...]:
    """With units that start as one: every table and matrix of one value, since zeros before or behind pass nothing."""
    wide = (p.name for p in tape.parameters if alike and p.trainable and tape.start(p.name).dim() > 1)
    return tuple(n for n in wide if bool((tape.start(n) == tape.start(n).reshape(-1)[:1]).all()))


def _wrong(matrix: Matrix) -> str:
    """What is wrong with the initial weights of a layer ("" if nothing is)."""
    if matrix.constant is not None and matrix.hidden:
        return f"is initialised to {matrix.constant:g} everywhere: its {matrix.units} units stay identical"
    if matrix.mirrored and matrix.hidden:
        return f"is initialised with identical rows: its {matrix.units} units stay identical"
    if matrix.gain > LARGE:
        return f"is initialised {matrix.gain:.3g} times too large for its {matrix.fan_in} connections"
    if 0 < matrix.gain < SMALL or (matrix.gain == 0 and matrix.hidden):
        return f"is initialised too small: {matrix.gain:.2g} of the size that suits its {matrix.fan_in} connections"
    return ""


def _biases(tape: Tape, matrix: Matrix) -> tuple[str, ...]:
    """The layer's biases if they, too, start far from zero."""
    names = [name for name in matrix.call.weights() if tape.start(name).dim() == 1]
    return tuple(n for n in names if float(tape.start(n).abs().mean()) > BIASED)


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
