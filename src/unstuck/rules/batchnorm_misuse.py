"""Batch normalisation has wrong running statistics, or a batch too small to have any.

## Why it hurts
In training, batch norm uses the mean and standard deviation of the batch; in evaluation, a running average of them.
With a momentum near 0 (TensorFlow's 0.99 is PyTorch's 0.01; 0.001 needs thousands of steps) the running statistics stay
near their initial values, with one near 1 they are those of the last batch: training looks perfect and evaluation is
useless. A batch of one row has no standard deviation at all, and PyTorch stops with an error. The statistics are
buffers and no parameters: a copy of the network that takes over the parameters only (a moving average of the weights)
keeps those of a new layer, and normalises by them when it is evaluated.

## How it is seen
The momentum of the recorded calls, and the running statistics that evaluations used against the values that they
normalised; or the error itself. For a copy whose statistics are those of a new layer, the last evaluation is computed
again with the statistics of its batch.

## What to do
Leave the momentum at 0.1. Use `DataLoader(..., drop_last=True)` if the last batch may be a single row; larger batches,
or `LayerNorm`, if batches are tiny. Copy the buffers with the parameters:
`for a, b in zip(copy.buffers(), model.buffers()): a.copy_(b)`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import msgspec

from unstuck.diagnosis.model import Effect, Evidence, Finding, NotApplicable, Site, proven
from unstuck.diagnosis.skill import differs
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.drop_last import DropLast
from unstuck.remedies.set_batch import SetBatch
from unstuck.remedies.set_momentum import SetMomentum
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.running import SHIFTED, STRETCHED, Norm, Running
from unstuck.signals.source import Source
from unstuck.tape.model import Tape
from unstuck.tape.modes import mode, switched
from unstuck.tape.program import Program

STAGE = Stage.ARCHITECTURE
SLOW, FAST = 0.02, 0.8
"""After n steps the initial values keep (1 - momentum)**n: below 0.02, more than a tenth after 100 steps. Above 0.8 the
last batch alone has four fifths of the weight."""
ALONE = "Expected more than 1 value per channel"
"""What torch says to a batch of one row."""


def check(tape: Tape, running: Running | None) -> Iterator[Finding]:
    """Look at the error, then at the running statistics."""
    if tape.error and ALONE in str(tape.error.get("message", "")):
        yield _alone(tape)
    elif running is not None:
        yield from _left_behind(tape, running) or _off(running)


def _alone(tape: Tape) -> Finding:
    assert tape.error is not None
    site = next((Site(s["file"], s["line"]) for s in tape.error.get("sites", ())), None)
    said = "a training batch of one row reaches batch norm, which needs at least two; drop or enlarge the last batch"
    told = f"the script stops with: {tape.error['message'][:100]}"
    remedy = DropLast() if tape.passes else SetBatch()  # the very first batch: they all have one row
    return Finding("batchnorm-misuse", said, site, (), (remedy,), "error", known="observed", effect=proven(told))


def _left_behind(tape: Tape, running: Running) -> list[Finding]:
    """A copy of the network that is evaluated with the statistics of new layers."""
    off = [n for n in running.norms if n.off]
    if not running.copied or not off or not all(n.untouched for n in running.norms):
        return []
    worst = max(off, key=lambda n: n.shift + n.stretch)
    said = (
        "the evaluated copy of the network has followed the trained parameters, but its batch norm still has the "
        f"running statistics of a new layer ({_said(worst)}); copy the buffers too"
    )
    evidence = (
        Evidence("batch norms with mean 0 and variance 1", f"{len(running.norms)} of {len(running.norms)}", "none"),
        Evidence("distance of the running mean, in standard deviations", worst.shift, f"below {SHIFTED:g}"),
        Evidence("ratio of running to actual standard deviation", worst.stretch, f"below {STRETCHED:g}"),
    )
    site = _copying(tape) or worst.call.site
    return [Finding("batchnorm-misuse", said, site, evidence, (), "error", known="observed", effect=_effect(tape))]


def _copying(tape: Tape) -> Site | None:
    """The loop over the parameters of two networks, where the script has one."""
    source = Source.read(tape)
    for loop in source.all(ast.For):
        read = [c.func.attr for c in source.all(ast.Call, loop.iter) if isinstance(c.func, ast.Attribute)]
        if read.count("parameters") + read.count("named_parameters") > 1:
            return source.site(loop)
    return None


def _effect(tape: Tape) -> Effect:
    """Proven if the last evaluation scores higher with the statistics of its own batch."""
    programs = tuple(_by_batch(p) for p in tape.programs)
    try:
        was = FinalEvaluation.read(tape)
        now = FinalEvaluation.read(msgspec.structs.replace(tape, programs=programs))
    except NotApplicable:
        return Effect()
    if not differs(was.skill, now.skill):
        return Effect()
    said = f"the last evaluation has {was.name} {was.score:.3f} with them, {now.score:.3f} with those of its own batch"
    return proven(said)


def _by_batch(program: Program) -> Program:
    calls = tuple(switched(c, training=True) if c.name == "batch_norm" and not mode(c) else c for c in program.calls)
    return msgspec.structs.replace(program, calls=calls)


def _off(running: Running) -> Iterator[Finding]:
    extreme = [m for m in running.momenta if not SLOW <= m <= FAST]
    off = [n for n in running.norms if n.off]
    if not off or len(off) < len(running.norms) / 2 or not extreme:
        return
    worst = max(off, key=lambda n: n.shift + n.stretch)
    yield Finding(
        "batchnorm-misuse",
        f"batch norm with momentum {extreme[0]:g} has wrong running statistics: {_said(worst)}; use 0.1",
        worst.call.site,
        (
            Evidence("momentum", extreme[0], f"{SLOW:g} to {FAST:g}, usually 0.1"),
            Evidence("distance of the running mean, in standard deviations", worst.shift, f"below {SHIFTED:g}"),
            Evidence("ratio of running to actual standard deviation", worst.stretch, f"below {STRETCHED:g}"),
        ),
        (SetMomentum(0.1),),
        "error",
        known="observed",
        effect=proven(f"at the last evaluation, {_said(worst)}"),
    )


def _said(norm: Norm) -> str:
    """How wrong the statistics of one layer are."""
    return f"its mean is {norm.shift:.2g} standard deviations off, and its standard deviation {norm.stretch:.2g}-fold"


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
