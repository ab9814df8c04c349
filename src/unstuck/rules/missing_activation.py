"""The loss expects probabilities or their logarithms and gets raw outputs, or no logarithm.

## Why it hurts
`NLLLoss` expects log-probabilities: it reads only the entry of the right class. On raw outputs (logits) it falls
without bound as that entry grows, and nothing lowers the other entries: the loss becomes negative while the accuracy
stays the same. `BCELoss` expects probabilities and refuses anything outside 0 to 1; `KLDivLoss` expects
log-probabilities. On the probabilities of a softmax both losses are nearly flat where the answer is wrong: the gradient
of p is p times that of log p.

## How it is seen
The exponentials of the recorded outputs do not sum to one over the classes, and no softmax follows the last weights. Or
the last function before a loss on log-probabilities gives probabilities. If torch stopped the run, its error message is
read.

## What to do
Use the loss that applies the function itself: `CrossEntropyLoss` for `NLLLoss`, `BCEWithLogitsLoss` for `BCELoss`. For
`KLDivLoss`, use `log_softmax` in place of `softmax` on its first argument.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Effect, Evidence, Finding, NotApplicable, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.add_activation import FITTING, AddActivation
from unstuck.remedies.loss_on_logits import LossOnLogits
from unstuck.remedies.take_logarithm import TakeLogarithm
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.signals.source import Source
from unstuck.tape.model import Tape
from unstuck.tape.program import Call

STAGE = Stage.OUTPUT
NEVER_MEANT = True
ALLOWED = 0.05
"""|log of the sum of probabilities|: bfloat16 rounds a logarithm of -10 by up to 0.03; raw outputs near zero are off by
log(classes), at least 0.69."""
REFUSAL = "all elements of input should be between 0 and 1"


def check(tape: Tape) -> Iterator[Finding]:
    """Read torch's error, and the outputs that each loss on log-probabilities got."""
    error = tape.error or {}
    if REFUSAL in str(error.get("message", "")) and error.get("sites"):
        yield _refused(tape, error["sites"][0])
    elif tape.passes:
        losses = Losses.read(tape)
        for ending in losses.endings:
            squashed = _probability(losses, ending)
            found = _unnormalised(losses, ending) if squashed is None else _without_logarithm(ending, squashed)
            yield from [found] if found is not None else []


def _refused(tape: Tape, at: dict[str, object]) -> Finding:
    site = Site(str(at["file"]), int(str(at["line"])), function=str(at.get("function", "")))
    return Finding(
        "missing-activation",
        "binary_cross_entropy gets raw outputs (logits); it takes probabilities from 0 to 1",
        _edited(tape, "binary_cross_entropy", site) or site,
        (Evidence("the run ended with", REFUSAL, "outputs between 0 and 1"),),
        (AddActivation(site, "binary_cross_entropy"),),
        known="observed",
        effect=proven("torch stopped the run at this loss"),
    )


def _probability(losses: Losses, ending: Ending) -> Call | None:
    """The call that makes a probability of what a loss takes for the logarithm of one; None where there is none."""
    if ending.loss.op.scale != "log-probability" or ending.output is None:
        return None
    known = losses.known[ending.output]
    last = known.squashed[-1] if len(known.squashed) == 1 else None
    low, high = known.bounds
    return last if last is not None and last.op.gives == "probability" and 0 <= low <= high <= 1 else None


def _without_logarithm(ending: Ending, squashed: Call) -> Finding:
    name, site = ending.loss.name, squashed.site
    said = f"{name} takes log-probabilities and gets the probabilities of {squashed.name}"
    evidence = (Evidence("range of what it gets", "0 .. 1", "at most 0 (the logarithm of a probability)"),)
    by_class = ending.loss.op.classes
    remedy = LossOnLogits if by_class else TakeLogarithm
    remedies = (remedy(site, squashed.name),) if site is not None and squashed.name == "softmax" else ()
    return Finding("missing-activation", said, site or ending.loss.site, evidence, remedies, known="observed")


def _unnormalised(losses: Losses, ending: Ending) -> Finding | None:
    if ending.loss.op.scale != "log-probability" or any(_makes_logarithms(c) for c in ending.bent):
        return None
    outputs = [t for t in losses.outputs(ending) if t.dim() > 1]
    off = off_one(outputs)
    if off <= ALLOWED:
        return None
    name, site, numbers = ending.loss.name, ending.loss.site, flat(outputs)
    largest = float(numbers.max()) if len(numbers) else float("nan")
    evidence = (
        Evidence("|log of the sum of probabilities|, median", off, "0"),
        Evidence("largest output", largest, "at most 0 (the logarithm of a probability)"),
    )
    said = f"{name} gets raw outputs (logits) instead of log-probabilities: their exponentials do not sum to 1"
    remedies = (AddActivation(site, "nll_loss"),) if ending.loss.op.classes and site is not None else ()
    positive = proven(f"an output of {largest:.3g} is not the logarithm of a probability: the loss has no minimum")
    effect = positive if largest > ALLOWED else Effect()
    made = ending.layer.site if ending.layer is not None else None  # the call that is missing stands behind the layer
    place = _edited(losses.tape, "nll_loss", site) if remedies and site is not None else None
    site = place or made or site
    return Finding("missing-activation", said, site, evidence, remedies, known="observed", effect=effect)


def _edited(tape: Tape, loss: str, called: Site) -> Site | None:
    """The first place at which the remedy writes another loss: that of the call itself where there are several."""
    try:
        source = Source.read(tape)
    except NotApplicable:
        return None
    places = [source.site(c) for c in source.all(ast.Call) if source.full_name(c) in FITTING[loss]]
    return min(places, key=lambda s: (s.file, s.line) != (called.file, called.line), default=None)


def _makes_logarithms(call: Call) -> bool:
    """Whether outputs behind a call were meant to be logarithms; what is wrong with them is for other rules to say."""
    return bool(call.op.gives) or call.name in ("log", "logsumexp", "sub")


def off_one(outputs: list[torch.Tensor]) -> float:
    """Median |log of the summed exponentials| over axis 1: 0 for log-probabilities, and where none is finite."""
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
