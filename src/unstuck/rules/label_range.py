"""The targets are not coded as the loss takes them: class ids not 0 to C-1, or not 0 and 1.

## Why it hurts
`CrossEntropyLoss` uses a label as the number of an output, counted from zero: labels from 1 to C end with "Target C is
out of bounds" (on a GPU with a device-side assert). `BCELoss` and `BCEWithLogitsLoss` weigh two logarithms with the
target and one minus the target: with targets 1 and 2, or -1 and 1, one of the weights is negative, the loss has no
lowest value, and it is cheapest to answer "yes" to everything, ever more certainly. `SoftMarginLoss` takes 1 and -1;
a target of 0 teaches nothing.

## How it is seen
The recorded targets are looked at; where the run ended with torch's refusal, the batch that was refused.

## What to do
Recode the labels where they are made: subtract the smallest, so that they count from zero; cast class ids to `long`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Remedy, Site
from unstuck.remedies.cast_targets import CastTargets
from unstuck.remedies.recode_targets import RecodeTargets
from unstuck.remedies.relabel import Relabel
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.signals.refusal import Refusal, refusal
from unstuck.tape.model import Tape

FAULT = "label-range"
PROBABILITIES = {"binary_cross_entropy", "binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"}
CLASSES = {"cross_entropy", "nll_loss", "nll_loss_nd"}
SLACK = 1e-6
BYTE, PERCENT = 255.0, 100.0


def check(tape: Tape) -> Iterator[Finding]:
    """The targets of every loss, or those that torch refused."""
    stopped = refusal(tape)
    if stopped is not None:
        yield from _refused(stopped)
    if tape.passes:
        endings = Losses.read(tape)
        for ending in endings.endings:
            if ending.loss.name in PROBABILITIES:
                yield from _of_probabilities(endings, ending)
            elif ending.loss.name == "soft_margin_loss":
                yield from _of_margins(endings, ending)


# -- what was recorded ------------------------------------------------------------------------------------------------


def _of_probabilities(endings: Losses, ending: Ending) -> Iterator[Finding]:
    numbers, site = flat(endings.targets(ending)), ending.loss.site
    if not len(numbers) or site is None or (numbers.min() >= -SLACK and numbers.max() <= 1 + SLACK):
        return
    low, high = float(numbers.min()), float(numbers.max())
    said = f"{ending.loss.name} takes targets from 0 to 1, and is given {low:g} to {high:g}"
    sure = f"with targets from {low:g} to {high:g} this loss has no lowest value"
    yield _finding(said, site, low, high, "0 to 1", _recoding(low, high, len(numbers.unique()), site), sure)


def _of_margins(endings: Losses, ending: Ending) -> Iterator[Finding]:
    numbers, site = flat(endings.targets(ending)), ending.loss.site
    if len(numbers) and site is not None and set(numbers.unique().tolist()) == {0.0, 1.0}:
        said = "soft_margin_loss takes targets of 1 and -1, and is given 1 and 0: a row with 0 teaches nothing"
        yield _finding(said, site, 0.0, 1.0, "-1 and 1", (), "a target of 0 makes this loss the same for every output")


# -- what was refused -------------------------------------------------------------------------------------------------


def _refused(stopped: Refusal) -> Iterator[Finding]:
    target, words = stopped.target, stopped.message
    if target.smallest is None or target.largest is None:
        return
    site, sure = stopped.site, f"torch itself stopped the run here: {words.splitlines()[0][:120]}"
    low, high = target.smallest, target.largest
    if stopped.loss in CLASSES and "out of bounds" in words:
        classes = stopped.input.shape[1] if len(stopped.input.shape) > 1 else 0
        if classes == 1:
            return  # a cross-entropy of one output: the loss is wrong, not the labels
        said = (
            f"the labels of a batch go from {low:g} to {high:g}, the network has {classes} outputs (0 to {classes - 1})"
        )
        yield _finding(said, site, low, high, f"0 to {classes - 1}", _shifting(low, high, classes, site), sure)
    elif stopped.loss in CLASSES and target.floating and target.whole and len(target.shape) == 1:
        said = f"{stopped.loss} takes class numbers of type long, and is given {target.dtype}"
        yield _finding(said, site, low, high, "whole numbers of type long", (CastTargets(site, "long"),), sure)
    elif stopped.loss in PROBABILITIES and (low < -SLACK or high > 1 + SLACK):
        said = f"{stopped.loss} takes targets from 0 to 1, and is given {low:g} to {high:g}"
        kinds = 2 if target.whole and high - low in (1.0, 2.0) else 3
        yield _finding(said, site, low, high, "0 to 1", _recoding(low, high, kinds, site), sure)
    elif stopped.loss not in CLASSES and not target.floating:
        said = f"{stopped.loss} takes targets of type float, and is given {target.dtype}"
        yield _finding(said, site, low, high, "floats", (CastTargets(site, "float"),), sure)


def _shifting(low: float, high: float, classes: int, site: Site) -> tuple[Remedy, ...]:
    """Labels that would fit if they were counted from zero; one batch need not hold the smallest of them."""
    if low >= 1 and high == classes:
        return (Relabel(1, site),)
    if low < 0 and high - low < classes:
        return (Relabel(int(low), site),)
    return (Relabel(int(low), site),) if low > 0 and high - low < classes else ()


def _recoding(low: float, high: float, kinds: int, site: Site) -> tuple[Remedy, ...]:
    """Two codes become 0 and 1, percentages and bytes shares; nothing is guessed about anything else."""
    if kinds == 2 and high > low:
        return (RecodeTargets(low, high - low, site),)
    full = PERCENT if PERCENT / 2 < high <= PERCENT else BYTE
    return (RecodeTargets(0.0, full, site),) if low >= 0 and 2 < high <= full and kinds > 2 else ()


def _finding(
    said: str, site: Site, low: float, high: float, expected: str, remedies: tuple[Remedy, ...], sure: str
) -> Finding:
    evidence = (Evidence("smallest target", low, expected), Evidence("largest target", high, expected))
    return Finding(FAULT, said, site, evidence, remedies, "error", demonstrated=sure)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(2)
x = torch.randn(500, 6)
code = (x[:, 0] - x[:, 3] > 0.3).float(){coding}
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
loss_fn = nn.BCEWithLogitsLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for epoch in range(12):
    for rows in torch.randperm(500).split(20):
        optimizer.zero_grad()
        loss = loss_fn(model(x[rows]).squeeze(1), code[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(coding=" + 1")
QUIET = _SCRIPT.format(coding="")
