"""The last activation cannot produce the values that the targets have.

## Why it hurts
A ReLU gives no negative number, a sigmoid none above 1, a tanh none beyond -1 and 1. Targets outside of that range
cannot be reached; the best that the network can do is to stay at the edge, where the gradient is zero. Before a
cross-entropy the same holds for logits: a ReLU makes each of them at least zero, so that no class can be ruled out, and
a row whose logits are all cut off has no gradient.

## How it is seen
The range of the network's output, worked out from the recorded calls, is compared with the recorded targets. Before a
loss on logits, any activation that bounds the logits is named.

## What to do
End with the plain linear layer. To keep the range, scale the targets into it and the outputs back.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.skill import WORTH
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.drop_output_activation import DropOutputActivation
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.tape.ops import DISTANCES
from unstuck.tape.program import Call

STAGE = Stage.OUTPUT
FAULT = "output-range"
OUTSIDE = 0.02
"""Share of the targets: fewer are outliers, which no loss should follow."""
EDGE = 0.01
"""Standard deviations of the targets: a target this near to the edge costs a ten-thousandth of their variance."""


def check(losses: Losses) -> Iterator[Finding]:
    """The range of what each loss gets."""
    for ending in losses.endings:
        bound = _on_logits(ending)
        if bound is not None:
            yield _of_logits(bound, ending)
        elif ending.loss.name in DISTANCES:
            yield from _of_numbers(losses, ending)


def _on_logits(ending: Ending) -> Call | None:
    """The activation that bounds logits: the last call before the loss's own activation, or before the network's."""
    bent = ending.bent
    first = next((n for n, c in enumerate(bent) if c.op.gives), len(bent) if ending.loss.op.applies else 0)
    last = bent[first - 1] if first else None
    return last if last is not None and last.op.elementwise and last.op.bounded and not last.op.gives else None


def _of_logits(call: Call, ending: Ending) -> Finding:
    span = _range(*call.op.range)
    said = f"a {call.name} follows the last layer: {ending.loss.name} gets logits from {span} only"
    evidence = Evidence("range of the logits", span, "any number")
    return Finding(FAULT, said, call.site, (evidence,), _remedies(call), known="observed")


def _of_numbers(losses: Losses, ending: Ending) -> Iterator[Finding]:
    known = losses.known[ending.output] if ending.output is not None else None
    targets = flat(losses.targets(ending))
    if known is None or known.limit is None or len(targets) < 2:
        return
    low, high = known.bounds
    slack = EDGE * float(targets.std(correction=0))
    outside = float(((targets < low - slack) | (targets > high + slack)).double().mean())
    if outside <= OUTSIDE:
        return
    call, span = known.limit, _range(low, high)
    said = f"{call.name} limits the output to {span}; {outside:.0%} of the targets lie outside"
    evidence = (
        Evidence("share of targets out of reach", outside, "0"),
        Evidence("targets", _range(float(targets.min()), float(targets.max())), f"within {span}"),
    )
    best = 1 - float((targets - targets.clamp(low, high)).square().mean() / targets.var(correction=0))
    told = proven(f"outputs within {span} reach an R2 of at most {best:.2f} on the recorded targets")
    effect = told if 1 - best >= WORTH else Effect()
    yield Finding(FAULT, said, call.site, evidence, _remedies(call), known="observed", effect=effect)


def _remedies(call: Call) -> tuple[DropOutputActivation, ...]:
    droppable = call.op.kind in ("activation", "function")
    return (DropOutputActivation(call.site, call.name),) if droppable and call.site is not None else ()


def _range(low: float, high: float) -> str:
    return f"{low:.4g} .. {high:.4g}"


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(7)
x = torch.randn(500, 4)
y = x[:, :1] - x[:, 1:2] * x[:, 2:3]
model = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1){last})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(15):
    for rows in torch.randperm(500).split(25):
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(last=", nn.Sigmoid()")
QUIET = _SCRIPT.format(last="")
