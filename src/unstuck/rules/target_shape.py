"""Shape mismatch: prediction and target have different shapes and are broadcast against each other.

## Why it hurts
A prediction of shape (N, 1) minus a target of shape (N,) is an (N, N) matrix of differences: every prediction is
compared with every target of the batch. The loss is lowest if every prediction is the mean target, so the network
learns to predict that and nothing else. torch only warns, and only in its own losses.

## How it is seen
The shapes in the recorded calls: a loss, or a difference written by hand, gets two tensors with equally many elements
but different shapes, and its result is larger than either. The same is looked for in all arithmetic on the way to the
loss (an advantage, a weight per row), unless the script inserts the axis itself. If torch refused the shapes, its error
is read.

## What to do
Make the shapes equal: `prediction.squeeze(1)`, or `target.unsqueeze(1)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Effect, Evidence, Finding, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.squeeze_prediction import SqueezePrediction
from unstuck.signals.losses import Ending, Losses
from unstuck.signals.refusal import refusal
from unstuck.tape.model import Tape
from unstuck.tape.ops import DISTANCES
from unstuck.tape.program import Call, Program, Ref, Value

STAGE = Stage.TARGETS
NEVER_MEANT = True
FAULT = "target-shape"
SPREADING = DISTANCES | {"poisson_nll_loss"}
"""Calls that broadcast one argument against the other; the other losses raise an error."""
REFUSALS = ("must be the same as input size", "multi-target not supported", "must match the size of tensor")
TURNED = {"rsub", "radd", "rmul", "rdiv", "rtruediv"}
"""As Python calls them where the right operand came first: `target - output`."""
ARITHMETIC = {"add", "sub", "mul", "multiply", "div", "divide", "true_divide", "truediv"} | TURNED
PAIRS = "every prediction is compared with every target"
Shape = tuple[int, ...]


def check(tape: Tape, losses: Losses | None) -> Iterator[Finding]:
    """Compare the shapes that every loss gets, and read torch's error."""
    stopped = refusal(tape)
    if stopped is not None and any(words in stopped.message for words in REFUSALS):
        sure = proven(f"torch stopped the run here: {stopped.message.splitlines()[0][:120]}")
        yield _finding(stopped.loss, stopped.site, stopped.input.shape, stopped.target.shape, sure)
    if losses is not None:
        found = [f for ending in losses.endings for f in _spread(losses, ending)]
        yield from found or _crossed(losses)


def _spread(losses: Losses, ending: Ending) -> Iterator[Finding]:
    """A difference by hand may be meant to compare all pairs; a loss function of torch is not.

    The target of such a function may be computed in the step itself, as from a target network.
    """
    inner = ending.loss.argument(1, "target") if ending.named and ending.target is None else ending.target
    output, target = losses.shape(ending.output), losses.shape(inner if isinstance(inner, Ref) else None)
    if ending.loss.name not in SPREADING or ending.loss.site is None or not spreads(output, target):
        return
    sides = (output, target) if _operands(ending.loss)[0] == ending.output else (target, output)
    yield _finding(ending.loss.name, ending.loss.site, *sides, proven(PAIRS) if ending.named else Effect(), PAIRS)


def _crossed(losses: Losses) -> Iterator[Finding]:
    """Arithmetic on the way to the loss that makes a matrix of all pairs of rows, without an axis inserted for it."""
    program = losses.program
    way = _way(program)
    for call in program.calls:
        if id(call) not in way or call.name not in ARITHMETIC or call.site is None or len(call.refs()) != 2:
            continue
        refs = _operands(call)
        one, other = (losses.shape(r) for r in refs)
        longer = refs[0 if len(one) > len(other) else 1]
        if spreads(one, other) and len(other) + len(one) == 3 and not _raised(losses, longer):
            yield _finding(call.name, call.site, one, other, Effect(), "every row is combined with every other row")
            return


def _operands(call: Call) -> tuple[Ref, ...]:
    """The refs among the arguments, in the order in which they stand in the text."""
    return call.refs()[::-1] if call.name in TURNED else call.refs()


def _way(program: Program) -> set[int]:
    """The calls that the loss depends on."""
    wanted: set[Ref] = {Value(program.loss)}
    found: set[int] = set()
    for call in reversed(program.calls):
        if any(Value(out) in wanted for out in call.outs):
            wanted.update(call.refs())
            found.add(id(call))
    return found


def _raised(losses: Losses, ref: Ref) -> bool:
    """Whether the script gave a tensor its last axis by hand (`unsqueeze`, `[:, None]`, `view`): then it is meant."""
    for value, call in losses.program.back(ref):
        before = [losses.shape(r) for r in call.refs()]
        if before and len(before[0]) < len(losses.shape(value)):
            return True
        if not call.op.hands_on:
            break
    return False


def spreads(one: Shape, other: Shape) -> bool:
    """Whether two shapes with equally many elements broadcast to more elements than either has."""
    if one == other or not one or not other or math.prod(one) != math.prod(other):
        return False
    try:
        return math.prod(torch.broadcast_shapes(one, other)) > math.prod(one)
    except RuntimeError:
        return False


def _finding(loss: str, site: Site, first: Shape, second: Shape, effect: Effect, told: str = "") -> Finding:
    """`first` and `second` in the order in which the loss gets them; the longer shape is squeezed."""
    side = 0 if len(first) > len(second) else 1
    longer = (first, second)[side]
    remedies = (SqueezePrediction(site, side),) if len(longer) > 1 and longer[-1] == 1 else ()
    evidence = (
        Evidence("shape of the first argument", str(first), "equal"),
        Evidence("shape of the second argument", str(second), "equal"),
    )
    said = f"shape mismatch: {loss} gets {first} and {second}" + (f", so {told}" if told else "")
    return Finding(FAULT, said, site, evidence, remedies, "error", known="observed", effect=effect)


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
