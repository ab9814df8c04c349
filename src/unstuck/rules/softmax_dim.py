"""The softmax runs over the wrong axis.

## Why it hurts
A softmax makes the entries of one axis sum to 1. Over the batch instead of the classes, a row's probabilities depend on
which other rows are in its batch and do not sum to 1; in attention, the weights that are mixed no longer belong to one
query. A softmax over an axis of length 1 gives 1 for every input: no gradient passes it.

## How it is seen
The softmax's `dim` is compared with the axis along which its result is used: the classes of the loss, or the axis that
a matrix product or a sum adds up. A softmax without `dim` is read as torch reads it: axis 0 for 0, 1 or 3 dimensions,
else axis 1.

## What to do
Name the axis: `dim=1` (or `dim=-1`) for (batch, classes); `dim=-1` for attention scores. For a single output, use a
sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, Remedy, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.fix_softmax_dim import FixSoftmaxDim
from unstuck.remedies.sigmoid_for_one import SigmoidForOne
from unstuck.rules.missing_activation import ALLOWED, off_one
from unstuck.signals.losses import Ending, Losses
from unstuck.tape.program import Call

STAGE = Stage.OUTPUT
NEVER_MEANT = True
FAULT = "softmax-dim"


def check(losses: Losses) -> Iterator[Finding]:
    """Each softmax whose axis is known from its use."""
    outputs = {id(c): e for e in losses.endings for c in e.bent if _is_softmax(c)}
    for call in losses.program.calls:
        if _is_softmax(call) and call.shape and call.site is not None:
            ending = outputs.get(id(call))
            wanted = _classes(losses, ending, call) if ending else losses.known.mixed_along(call)
            taken = axis(call)
            if call.shape[taken] == 1:
                yield _of_one_entry(call, taken, wanted, ending)
            elif wanted is not None and wanted != taken:
                sure = _unnormalised(losses, ending) if ending else _over_rows(losses, call, taken)
                yield _finding(call, taken, wanted, proven(sure) if sure else Effect())


def _is_softmax(call: Call) -> bool:
    return bool(call.op.gives) and call.op.mixes == "dim"


def axis(call: Call) -> int:
    """The axis a softmax runs over, counted from the first; as torch chooses it if none is named."""
    given, count = call.argument(1, "dim"), len(call.shape)
    if not isinstance(given, int):
        return 0 if count in (0, 1, 3) else 1
    return given % count


def _classes(losses: Losses, ending: Ending, call: Call) -> int | None:
    """The axis of the classes in the softmax's result; None if the way to the loss is not plain."""
    shape = losses.shape(ending.output)
    if len(call.shape) == 1 or len(shape) < 2:
        return None
    if call.shape == shape:
        if ending.loss.op.classes:
            return 1
        return len(shape) - 1 if axis(call) == 0 and shape[0] > 1 else None
    if not ending.loss.op.classes:
        return None
    fitting = [i for i, size in enumerate(call.shape) if size == shape[1]]
    return fitting[-1] if fitting and axis(call) not in fitting else None


def _unnormalised(losses: Losses, ending: Ending) -> str:
    """In words, if the recorded outputs are not log-probabilities over the classes."""
    outputs = [t for t in losses.outputs(ending) if t.dim() > 1]
    by_class = ending.loss.op.classes and ending.loss.op.scale == "log-probability"
    off = off_one(outputs) if by_class else 0.0
    return f"the probabilities of a row sum to {math.exp(off):.2g} (or its inverse), not to 1" if off > ALLOWED else ""


def _over_rows(losses: Losses, call: Call, taken: int) -> str:
    """In words, if the axis is the batch's."""
    rows = {losses.shape(e.output)[:1] for e in losses.endings}
    if taken != 0 or rows != {call.shape[:1]}:
        return ""
    return f"axis 0 holds the {call.shape[0]} rows of the batch: the result for a row depends on the other rows"


def _of_one_entry(call: Call, taken: int, wanted: int | None, ending: Ending | None) -> Finding:
    said = (
        f"the {call.name} of shape {_shape(call)} runs over axis {taken}, which has one entry: its result is constant"
    )
    evidence = Evidence("axis of the softmax", float(taken), "the classes'" if wanted is None else str(wanted))
    known_by_form = proven("a softmax over one entry gives 1 for every input")
    single = ending is not None and call.shape[-1] == 1 and call.name == "softmax" and call.site is not None
    remedies = (SigmoidForOne(call.site),) if single and call.site else _remedies(call, taken, wanted)
    return Finding(FAULT, said, call.site, (evidence,), remedies, known="observed", effect=known_by_form)


def _finding(call: Call, taken: int, wanted: int, effect: Effect) -> Finding:
    said = f"the {call.name} of shape {_shape(call)} runs over axis {taken}, but its result is used along axis {wanted}"
    evidence = Evidence("axis of the softmax", float(taken), str(wanted))
    remedies = _remedies(call, taken, wanted)
    return Finding(FAULT, said, call.site, (evidence,), remedies, known="observed", effect=effect)


def _shape(call: Call) -> str:
    return f"({', '.join(map(str, call.shape))})"


def _remedies(call: Call, taken: int, wanted: int | None) -> tuple[Remedy, ...]:
    if call.site is None or wanted is None or wanted == taken:
        return ()
    last = wanted == len(call.shape) - 1 and len(call.shape) > 2
    return (FixSoftmaxDim(call.site, -1 if last else wanted),)


_SCRIPT = """
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(6)
x = torch.randn(600, 7)
y = (x @ torch.randn(7, 4)).argmax(1)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(7, 32)
        self.two = nn.Linear(32, 4)

    def forward(self, x):
        return F.log_softmax(self.two(F.relu(self.one(x))), dim={dim})


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = F.nll_loss(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(dim=0)
QUIET = _SCRIPT.format(dim=1)
