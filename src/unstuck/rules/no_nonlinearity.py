"""Linear layers follow each other with nothing between them.

## Why it hurts
A linear map of a linear map is one linear map. However many such layers are stacked, and however wide they are, the
network can only draw a straight line (or plane) through its inputs: what depends on a product, a threshold, a circle or
a parity is out of its reach, and the loss stays at what the best straight line gives.

## How it is seen
The calls of the step are read: a linear layer (or convolution) receives the result of another with nothing in between
but calls that keep it linear: a reshape, dropout, a normalisation.

## What to do
Put a ReLU (or GELU, tanh) between them. None behind the last layer.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.remedies._program import sites_of
from unstuck.remedies.insert_nonlinearity import InsertNonlinearity, straight
from unstuck.signals.losses import Losses
from unstuck.tape.program import Call, Program, Value, Weight

LAYERS = {"linear", "conv1d", "conv2d", "conv3d", "addmm", "matmul", "mm", "conv_transpose1d", "conv_transpose2d"}


def check(endings: Losses) -> Iterator[Finding]:
    """The pairs of linear calls, both with weights, of which the second reads the first as it is."""
    program = endings.program
    layers = [c for c in program.calls if c.name in LAYERS and weighted(c)]
    if not layers:
        raise NotApplicable("the step has no linear layer")
    pairs = [c for c in straight(program) if _read_by_layer(program, c)]
    sites = sites_of(pairs)
    if sites:
        yield Finding(
            "no-nonlinearity",
            f"{len(pairs)} of {len(layers)} linear layers feed the next one with nothing bent between them",
            pairs[0].site,
            (Evidence("linear layers that read another's result as it is", float(len(pairs)), "0"),),
            (InsertNonlinearity(sites),),
        )


def weighted(call: Call) -> bool:
    """Whether a call reads a weight."""
    return any(isinstance(r, Weight) for r in call.refs())


def _read_by_layer(program: Program, call: Call) -> bool:
    """Whether a weighted layer is what the result reaches: products of two results (attention) are no layers."""
    seen, open_ = set(), [Value(call.outs[0])]
    while open_:
        ref = open_.pop()
        seen.add(ref)
        for user in program.users(ref):
            if user.name in LAYERS:
                if weighted(user):
                    return True
            elif len({r for r in user.refs() if isinstance(r, Value)}) == 1:
                open_ += [Value(out) for out in user.outs if Value(out) not in seen]
    return False


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.rand(800, 2) * 2 - 1
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(
    nn.Linear(2, 32),
    {between}nn.Linear(32, 32),
    {between}nn.Linear(32, 2),
)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(15):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(between="")
QUIET = _SCRIPT.format(between="nn.ReLU(),\n    ")
