"""Linear layers follow each other without an activation between them.

## Why it hurts
A linear map of a linear map is one linear map. However many such layers are stacked, and however wide they are, the
network can only fit a straight line (or plane) through its inputs: a product, a threshold, a circle or a parity is out
of its reach, and the loss stays where linear regression leaves it.

## How it is seen
In the recorded calls, a linear layer or convolution reads the result of another one with nothing between them but calls
that stay linear: a reshape, dropout, a normalisation.

## What to do
Put an activation (ReLU, GELU, tanh) between the layers, and none behind the last one.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable
from unstuck.diagnosis.stages import Stage
from unstuck.remedies._program import sites_of
from unstuck.remedies.insert_nonlinearity import InsertNonlinearity, straight
from unstuck.signals.losses import Losses
from unstuck.tape.ops import LAYERS
from unstuck.tape.program import Call, Program, Value

STAGE = Stage.ARCHITECTURE


def check(losses: Losses) -> Iterator[Finding]:
    """The pairs of linear calls with weights of which the second reads the first without an activation."""
    program = losses.program
    layers = [c for c in program.calls if c.name in LAYERS and c.weights()]
    if not layers:
        raise NotApplicable("the step has no linear layer")
    pairs = [c for c in straight(program) if _read_by_layer(program, c)]
    sites = sites_of(pairs)
    if sites:
        yield Finding(
            "no-nonlinearity",
            f"{len(pairs)} of {len(layers)} linear layers feed the next one without an activation (nonlinearity)",
            pairs[0].site,
            (Evidence("linear layers that read another's result without an activation", float(len(pairs)), "0"),),
            (InsertNonlinearity(sites),),
            known="observed",
        )


def _read_by_layer(program: Program, call: Call) -> bool:
    """Whether a layer with weights is what the result reaches: products of two results (attention) are no layers."""
    seen, open_ = set(), [Value(call.outs[0])]
    while open_:
        ref = open_.pop()
        seen.add(ref)
        for user in program.users(ref):
            if user.name in LAYERS:
                if user.weights():
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
