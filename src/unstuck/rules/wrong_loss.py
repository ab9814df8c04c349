"""The loss function does not fit the task.

## Why it hurts
Cross-entropy shares a probability of 1 among the classes: if a row may have several labels, each label is pushed down
by the others, and no threshold reads the prediction back. Cross-entropy of a single output is always zero. A loss that
gets target and prediction in the wrong order has the wrong gradient. A squared error on class ids says that class 4 is
farther from 1 than 2 is, and pulls uncertain predictions to the middle.

## How it is seen
In the recorded targets and the shapes of what each loss gets: labels of a row that do not sum to 1, a single class, a
prediction in the target's place, a few whole numbers under a squared error. The last may be meant: the network is then
trained with one output per class, and compared.

## What to do
Several labels per row: `BCEWithLogitsLoss`. One class of several: `CrossEntropyLoss` on one output per class. A
quantity: squared or absolute error.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.fit_loss import FitLoss
from unstuck.remedies.loss_of_one import LossOfOne
from unstuck.remedies.swap_arguments import SwapArguments
from unstuck.signals.losses import Ending, Losses, flat
from unstuck.signals.refusal import refusal
from unstuck.tape.model import Tape
from unstuck.tape.ops import DISTANCES

STAGE = Stage.OUTPUT
FAULT = "wrong-loss"
SEVERAL = 0.02
"""Share of rows whose labels do not sum to 1: fewer may be rows without a label, or mistakes in the data."""
ONE_SIDED = {"binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss"}
"""Losses that take real numbers on both sides and are not symmetric."""
KINDS = (3, 40)
"""Distinct whole numbers that may be class ids: two are a binary target, and more than forty mostly count something."""


def check(tape: Tape) -> Iterator[Finding]:
    """Each loss against its targets, or the one that torch refused."""
    stopped = refusal(tape)
    if stopped is not None and stopped.loss == "cross_entropy" and stopped.input.shape[1:] == (1,):
        yield _of_one(stopped.site, stopped.target.shape == stopped.input.shape[:1])
    if tape.passes:
        yield from _recorded(Losses.read(tape))


def _recorded(losses: Losses) -> Iterator[Finding]:
    for ending in losses.endings:
        if ending.swapped and ending.loss.name in ONE_SIDED:
            yield _swapped(ending)
        elif ending.loss.name == "cross_entropy":
            yield from _several(losses, ending)
            yield from _single(losses, ending)
        elif ending.loss.name in DISTANCES:
            yield from _numbers(losses, ending)


def _swapped(ending: Ending) -> Finding:
    name, site = ending.loss.name, ending.loss.site
    said = f"{name} gets the target first and the prediction second"
    evidence = Evidence("first argument", "the target", "the prediction")
    remedies = (SwapArguments(site),) if site is not None else ()
    sure = proven(f"{name} is not symmetric: its second argument is the target, whatever it is given")
    return Finding(FAULT, said, site, (evidence,), remedies, known="observed", effect=sure)


def _several(losses: Losses, ending: Ending) -> Iterator[Finding]:
    """Targets with several labels per row under a loss that shares a probability of 1 among them."""
    targets, site = [t for t in losses.targets(ending) if t.is_floating_point() and t.dim() > 1], ending.loss.site
    if not targets or site is None:
        return
    sums, numbers = flat([t.double().sum(1) for t in targets]), flat(targets)
    zero_one = bool(((numbers == 0) | (numbers == 1)).all())
    off = float(((sums - 1).abs() > 1e-3).double().mean()) if len(sums) else 0.0
    if zero_one and off > SEVERAL:
        said = f"cross_entropy gets multi-label targets: in {off:.0%} of the rows the labels do not sum to 1"
        evidence = (
            Evidence("rows whose labels do not sum to 1", off, "0"),
            Evidence("labels per row, mean", float(sums.mean()), "1"),
        )
        sure = proven("softmax cannot give two labels of a row a probability above 0.5 each")
        remedies = (FitLoss(site, "binary_cross_entropy_with_logits"),)
        yield Finding(FAULT, said, site, evidence, remedies, known="observed", effect=sure)


def _single(losses: Losses, ending: Ending) -> Iterator[Finding]:
    shape = losses.shape(ending.output)
    if len(shape) > 1 and shape[1] == 1 and ending.loss.site is not None:
        yield _of_one(ending.loss.site, losses.shape(ending.target) == shape[:1])


def _of_one(site: Site, plain: bool) -> Finding:
    said = "cross_entropy gets a single output: with one class, the loss is always zero"
    evidence = Evidence("outputs", 1.0, "one per class")
    sure = proven("softmax gives the only class a probability of 1 for every input")
    remedies = (LossOfOne(site),) if plain else ()
    return Finding(FAULT, said, site, (evidence,), remedies, known="observed", effect=sure)


def _numbers(losses: Losses, ending: Ending) -> Iterator[Finding]:
    """Targets that may be class ids under an error for quantities; their order may be meant, so an experiment tells."""
    targets = losses.targets(ending)
    if not targets or any(t.is_floating_point() and t.dim() > 1 and t.shape[-1] > 1 for t in targets):
        return
    numbers = flat(targets)
    kinds = numbers.unique()
    whole = bool((numbers == numbers.round()).all()) and len(numbers) > 10 * len(kinds)
    if whole and KINDS[0] <= len(kinds) <= KINDS[1] and float(kinds[-1] - kinds[0]) == len(kinds) - 1:
        name = ending.loss.name if ending.named else "a difference"
        said = f"the targets are {len(kinds)} whole numbers under {name}; class ids need CrossEntropyLoss"
        evidence = Evidence("distinct targets", float(len(kinds)), "many, or CrossEntropyLoss on one output per class")
        yield Finding(FAULT, said, ending.loss.site, (evidence,), known="guessed", settles=("classes",))


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
