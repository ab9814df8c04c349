"""The loss expects probabilities (or their logarithms) and is given raw outputs.

## Why it hurts
`NLLLoss` takes log-probabilities: it only reads the entry of the right class. Given raw scores it falls without end as
that entry grows, and nothing makes the others smaller: the loss turns negative while the accuracy stays where it was.
`BCELoss` takes probabilities and refuses anything outside 0 to 1; `KLDivLoss` takes log-probabilities as its input.

## How it is seen
The recorded outputs are looked at: their exponentials do not add up to one over the classes, and no softmax stands
behind the last weights. A run that ended with torch's own refusal is read from its last line.

## What to do
Use the loss that applies the function itself: `CrossEntropyLoss` for `NLLLoss`, `BCEWithLogitsLoss` for `BCELoss`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding, Site
from unstuck.remedies.add_activation import AddActivation
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.tape.model import Tape

ON_LOGARITHMS = {"nll_loss", "nll_loss_nd", "kl_div"}
ALLOWED = 0.05
"""How far the logarithm of the sum of probabilities may be from zero (label smoothing by hand, half precision)."""
SQUASHING = {"softmax", "log_softmax", "logsigmoid", "log", "softmin", "logsumexp", "sub"}
"""With one of these behind the last weights, the outputs were meant to be logarithms: another rule's business."""
REFUSAL = "all elements of input should be between 0 and 1"


def check(tape: Tape) -> Iterator[Finding]:
    """Read the outputs that a loss on probabilities was given; and what torch refused."""
    error = tape.error or {}
    if REFUSAL in str(error.get("message", "")) and error.get("sites"):
        yield _refused(error["sites"][0])
    elif tape.passes:
        endings = Losses.read(tape)
        yield from (f for e in endings.endings if (f := _unnormalised(endings, e)) is not None)


def _refused(at: dict[str, object]) -> Finding:
    site = Site(str(at["file"]), int(str(at["line"])), function=str(at.get("function", "")))
    return Finding(
        "missing-activation",
        "binary_cross_entropy was given raw outputs: torch refuses what is not between 0 and 1",
        site,
        (Evidence("the run ended with", REFUSAL, "outputs between 0 and 1"),),
        (AddActivation(site, "binary_cross_entropy"),),
        demonstrated="torch itself stopped the run at this loss",
    )


def _unnormalised(endings: Losses, ending: Ending) -> Finding | None:
    if ending.loss.name not in ON_LOGARITHMS or any(c.name in SQUASHING for c in ending.bent):
        return None
    outputs = [t for t in endings.outputs(ending) if t.dim() > 1]
    off = off_one(outputs)
    if off <= ALLOWED:
        return None
    largest = float(flat(outputs).max()) if len(flat(outputs)) else float("nan")
    said = f"{ending.loss.name} was given raw outputs: their exponentials do not add up to one"
    evidence = (
        Evidence("|log of the summed probabilities|, typical", off, "0"),
        Evidence("largest output", largest, "at most 0 (the logarithm of a probability)"),
    )
    can = ending.loss.name in ("nll_loss", "nll_loss_nd") and ending.loss.site is not None
    remedies = (AddActivation(ending.loss.site, "nll_loss"),) if can and ending.loss.site else ()
    sure = f"an output of {largest:.3g} is no logarithm of a probability" if largest > ALLOWED else ""
    return Finding("missing-activation", said, ending.loss.site, evidence, remedies, demonstrated=sure)


def off_one(outputs: list[torch.Tensor]) -> float:
    """How far outputs are from logarithms of probabilities over their second axis (median; 0 where none are finite)."""
    sums = [t.double().logsumexp(1).abs().flatten() for t in outputs]
    finite = torch.cat(sums)[torch.isfinite(torch.cat(sums))] if sums else torch.zeros(0)
    return float(finite.median()) if len(finite) else 0.0


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(1)
x = torch.randn(600, 5)
y = (x @ torch.randn(5, 4)).argmax(1)
model = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 4){last})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
criterion = nn.NLLLoss()
for epoch in range(12):
    for rows in torch.randperm(600).split(25):
        optimizer.zero_grad()
        loss = criterion(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(last="")
QUIET = _SCRIPT.format(last=", nn.LogSoftmax(dim=1)")
