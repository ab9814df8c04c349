"""The loss does not fit the task.

## Why it hurts
A cross-entropy shares one among the classes: where a row may have several labels at once, each label is pushed down by
the others, and no threshold reads the answer back. A cross-entropy of a single output is always zero. A loss that is
given target and prediction in the wrong order sends its gradient the wrong way. A squared error on class numbers says
that class 4 is farther from 1 than 2 is, and pulls what it does not know to the middle.

## How it is seen
The recorded targets, and the shapes of what each loss is given: sums over the labels of a row other than one, a single
class, an output in the target's place, whole numbers of a few kinds under a squared error. In the last case a replay
with one output per class tells: where it names far more rows rightly than the rounded numbers ever did, they are names.

## What to do
One yes or no per label: `BCEWithLogitsLoss`. One class of several: `CrossEntropyLoss` on as many outputs. A quantity:
a squared or absolute error.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Site
from unstuck.remedies.fit_loss import FitLoss
from unstuck.remedies.loss_of_one import LossOfOne
from unstuck.remedies.swap_arguments import SwapArguments
from unstuck.replay.as_classes import AsClasses
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.signals.refusal import refusal
from unstuck.tape.model import Tape

FAULT = "wrong-loss"
SEVERAL = 0.02
"""Share of rows whose labels do not add up to one, from which on the targets are no shares of one."""
CLASSES = {"cross_entropy", "nll_loss"}
ONE_SIDED = {"binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss"}
NAMED, BETTER = 0.6, 0.2
"""As names of classes they must be learnt to this skill, and this share of right answers more than as numbers: grades
and counts with noise in them come out alike in both ways."""
KINDS = (3, 40)
"""So many different whole numbers look like class ids."""


def check(tape: Tape) -> Iterator[Finding]:
    """Each loss against its targets, or the one that torch refused."""
    stopped = refusal(tape)
    if stopped is not None and stopped.loss == "cross_entropy" and stopped.input.shape[1:] == (1,):
        yield _of_one(stopped.site, stopped.target.shape == stopped.input.shape[:1])
    if tape.passes:
        yield from _recorded(Losses.read(tape))


def _recorded(endings: Losses) -> Iterator[Finding]:
    for ending in endings.endings:
        if ending.swapped and ending.loss.name in ONE_SIDED:
            yield _swapped(ending)
        elif ending.loss.name == "cross_entropy":
            yield from _several(endings, ending)
            yield from _single(endings, ending)
        elif ending.loss.name in ("mse_loss", "l1_loss", "smooth_l1_loss", "sub"):
            yield from _numbers(endings, ending)


def _swapped(ending: Ending) -> Finding:
    said = f"{ending.loss.name} is given the target first and the prediction second"
    sure = f"{ending.loss.name} takes the prediction first: as it stands it is the target that is measured"
    site = ending.loss.site
    remedies = (SwapArguments(site),) if site is not None else ()
    evidence = Evidence("first argument", "the target", "the prediction")
    return Finding(FAULT, said, site, (evidence,), remedies, "error", demonstrated=sure)


def _several(endings: Losses, ending: Ending) -> Iterator[Finding]:
    """Targets with several labels per row under a loss that shares one among them."""
    targets = [t for t in endings.targets(ending) if t.is_floating_point() and t.dim() > 1]
    if not targets or ending.loss.site is None:
        return
    sums = flat([t.double().sum(1) for t in targets])
    numbers = flat(targets)
    zero_one = bool(((numbers == 0) | (numbers == 1)).all())
    off = float(((sums - 1).abs() > 1e-3).double().mean()) if len(sums) else 0.0
    if zero_one and off > SEVERAL:
        said = f"cross_entropy is given rows with several labels (or none): {off:.0%} do not add up to one"
        evidence = (
            Evidence("rows whose labels do not add up to one", off, "0"),
            Evidence("labels per row, mean", float(sums.mean()), "1"),
        )
        sure = "a row with two labels cannot be given both by a loss that shares one among them"
        remedy = FitLoss(ending.loss.site, "binary_cross_entropy_with_logits")
        yield Finding(FAULT, said, ending.loss.site, evidence, (remedy,), "error", demonstrated=sure)


def _single(endings: Losses, ending: Ending) -> Iterator[Finding]:
    shape = endings.shape(ending.output)
    if len(shape) > 1 and shape[1] == 1 and ending.loss.site is not None:
        yield _of_one(ending.loss.site, endings.shape(ending.target) == shape[:1])


def _of_one(site: Site, plain: bool) -> Finding:
    evidence = Evidence("outputs", 1.0, "one per class")
    said = "cross_entropy is given a single output: with one class it is always zero"
    sure = "the probability of the only class is 1 whatever the network says"
    return Finding(FAULT, said, site, (evidence,), (LossOfOne(site),) if plain else (), "error", demonstrated=sure)


def _numbers(endings: Losses, ending: Ending) -> Iterator[Finding]:
    """Class numbers under an error for quantities.

    An order may well be meant: this is no more than a hint, unless the same network names classes far better than its
    numbers ever came to be.
    """
    targets = endings.targets(ending)
    if not targets or any(t.is_floating_point() and t.dim() > 1 and t.shape[-1] > 1 for t in targets):
        return
    numbers = flat(targets)
    kinds = numbers.unique()
    whole = bool((numbers == numbers.round()).all()) and len(numbers) > 10 * len(kinds)
    if whole and KINDS[0] <= len(kinds) <= KINDS[1] and float(kinds[-1] - kinds[0]) == len(kinds) - 1:
        said = f"the targets are {len(kinds)} whole numbers; if they are classes, {ending.loss.name} is not for them"
        evidence = Evidence("different targets", float(len(kinds)), "many, or CrossEntropyLoss on one output per class")
        yield Finding(FAULT, said, ending.loss.site, *_taught(endings.tape, evidence))


def _taught(tape: Tape, evidence: Evidence) -> tuple[tuple[Evidence, ...], tuple, str, str, str]:
    """The evidence, no remedy, and what an experiment shows."""
    try:
        told = AsClasses.read(tape)
    except NotApplicable:
        return (evidence,), (), "hint", "suspect", ""
    seen = (
        evidence,
        Evidence("right answers at the end, the outputs rounded", told.rounded, "as below"),
        Evidence("right answers with one output per class under a cross-entropy", told.named, "as above"),
    )
    if told.skill < NAMED or told.named - told.rounded < BETTER:
        return seen, (), "hint", "suspect", ""
    said = f"with one output per class the same network names {told.named:.0%} of the rows right instead of"
    return seen, (), "error", "suspect", f"{said} {told.rounded:.0%}"


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(10)
x = torch.randn(600, 8)
tags = (x @ torch.randn(8, 5) > 0.5).float()
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))
criterion = {loss}()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = criterion(model(x[rows]), tags[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(loss="nn.CrossEntropyLoss")
QUIET = _SCRIPT.format(loss="nn.BCEWithLogitsLoss")
