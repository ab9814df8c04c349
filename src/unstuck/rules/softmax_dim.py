"""The softmax runs over the wrong axis.

## Why it hurts
A softmax shares one among the entries of one axis. Over the batch instead of the classes, each row's probabilities
depend on which other rows are in its batch and do not add up to one; in attention, what is mixed are no longer the
weights of one question. A softmax over an axis of length one gives 1 whatever enters: no gradient passes it at all.

## How it is seen
The softmax's `dim` is compared with the axis along which its result is used: the classes of the loss, the axis that the
matrix product (or the sum) takes together. A softmax without `dim` is read as torch reads it: over axis 0 for three.

## What to do
Name the axis: `dim=1` (or `dim=-1`) for (batch, classes); `dim=-1` for attention scores. For one output, a sigmoid.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy
from unstuck.remedies.fix_softmax_dim import FixSoftmaxDim
from unstuck.remedies.sigmoid_for_one import SigmoidForOne
from unstuck.rules.missing_activation import ALLOWED, off_one
from unstuck.signals.losses import Ending, Losses
from unstuck.tape.program import Call, Program, Value

FAULT = "softmax-dim"
SOFTMAX = {"softmax", "log_softmax", "softmin"}
PRODUCTS = {"matmul", "bmm", "rmatmul"}
SAME = {"dropout", "contiguous", "clone", "to", "float", "type_as", "log", "clamp", "masked_fill", "add"}
"""Calls that leave the axes where they are."""
BY_CLASS = {"cross_entropy", "nll_loss", "nll_loss_nd"}


def check(endings: Losses) -> Iterator[Finding]:
    """Each softmax whose axis is known from its use."""
    outputs = {id(c): e for e in endings.endings for c in e.bent if c.name in SOFTMAX}
    for call in endings.program.calls:
        if call.name in SOFTMAX and call.shape and call.site is not None:
            ending = outputs.get(id(call))
            wanted = _classes(endings, ending, call) if ending else _mixed(endings.program, call)
            taken = axis(call)
            if call.shape[taken] == 1:
                yield _finding(call, taken, wanted, single=ending is not None and call.shape[-1] == 1)
            elif wanted is not None and wanted != taken:
                sure = _unnormalised(endings, ending) if ending else _over_rows(endings, call, taken)
                yield _finding(call, taken, wanted, sure=sure)


def axis(call: Call) -> int:
    """The axis a softmax runs over, counted from the first; as torch chooses it where none is named."""
    given, count = call.argument(1, "dim"), len(call.shape)
    if not isinstance(given, int):
        return 0 if count in (0, 1, 3) else 1
    return given % count


def _classes(endings: Losses, ending: Ending, call: Call) -> int | None:
    """The axis of the classes in the softmax's result; None where the way to the loss is not plain."""
    shape = endings.shape(ending.output)
    if len(call.shape) == 1 or len(shape) < 2:
        return None
    if call.shape == shape:
        if ending.loss.name in BY_CLASS:
            return 1
        return len(shape) - 1 if axis(call) == 0 and shape[0] > 1 else None
    if ending.loss.name not in BY_CLASS:
        return None
    fitting = [i for i, size in enumerate(call.shape) if size == shape[1]]
    return fitting[-1] if fitting and axis(call) not in fitting else None


def _mixed(program: Program, call: Call) -> int | None:
    """The axis along which the weights of a mixture are used: what a product or a sum takes together."""
    here, shift = call, list(range(len(call.shape)))
    while True:
        users = program.users(Value(here.outs[0]))
        if len(users) != 1:
            return None
        user = users[0]
        if user.name in SAME and user.shape == here.shape:
            here = user
        elif user.name == "unsqueeze" and isinstance(user.argument(1, "dim"), int):
            shift.insert(int(user.argument(1, "dim")) % len(user.shape), -1)
            here = user
        elif user.name in PRODUCTS:
            return _known(shift, _contracted(user, here))
        elif user.name == "mul":
            return _known(shift, _summed(program, user, len(here.shape)))
        else:
            return None


def _known(shift: list[int], at: int | None) -> int | None:
    """The softmax's own axis that now stands at a place."""
    if at is None or not -len(shift) <= at < len(shift):
        return None
    return shift[at] if shift[at] >= 0 else None


def _contracted(product: Call, weights: Call) -> int | None:
    first = product.refs()[0] == Value(weights.outs[0])
    first = not first if product.name == "rmatmul" else first
    return -1 if first else -2


def _summed(program: Program, product: Call, dimensions: int) -> int | None:
    """The axis of the sum behind a product, where one follows at once."""
    users = program.users(Value(product.outs[0]))
    if len(users) != 1 or users[0].name != "sum" or len(product.shape) != dimensions:
        return None
    given = users[0].argument(1, "dim")
    given = given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
    return given % dimensions if isinstance(given, int) else None


def _unnormalised(endings: Losses, ending: Ending) -> str:
    """In words, where the recorded outputs are no logarithms of probabilities over the classes."""
    outputs = [t for t in endings.outputs(ending) if t.dim() > 1]
    off = off_one(outputs) if ending.loss.name in BY_CLASS - {"cross_entropy"} else 0.0
    return f"a row's probabilities add up to {math.exp(off):.2g} (or one over that), not to 1" if off > ALLOWED else ""


def _over_rows(endings: Losses, call: Call, taken: int) -> str:
    """In words, where the axis is that of the batch: a row alone in its batch would be given other weights."""
    rows = {endings.shape(e.output)[:1] for e in endings.endings}
    if taken != 0 or rows != {call.shape[:1]}:
        return ""
    return f"axis 0 is that of the batch's {call.shape[0]} rows: what a row is given depends on the rows beside it"


def _finding(call: Call, taken: int, wanted: int | None, single: bool = False, sure: str = "") -> Finding:
    shape = f"({', '.join(map(str, call.shape))})"
    if call.shape[taken] == 1:
        said = (
            f"the {call.name} of {shape} runs over axis {taken}, which has one entry: it gives the same for any input"
        )
    else:
        said = f"the {call.name} of {shape} runs over axis {taken}; its result is used along axis {wanted}"
    evidence = Evidence("axis of the softmax", float(taken), "the classes'" if wanted is None else str(wanted))
    sure = "a softmax over one entry gives the same number whatever enters" if call.shape[taken] == 1 else sure
    return Finding(
        FAULT, said, call.site, (evidence,), _remedies(call, taken, wanted, single), "error", demonstrated=sure
    )


def _remedies(call: Call, taken: int, wanted: int | None, single: bool) -> tuple[Remedy, ...]:
    if call.site is None:
        return ()
    if single and call.name == "softmax":
        return (SigmoidForOne(call.site),)
    if wanted is None or wanted == taken:
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
