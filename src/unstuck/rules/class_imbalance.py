"""Class imbalance: one class is so frequent that the network always predicts it.

## Why it hurts
If 97 of 100 rows belong to one class, always predicting it is right in 97 of 100 cases and costs little loss. The rare
rows pull the other way, but each batch holds one or two of them, or none. The loss looks low and the accuracy high, but
the network finds none of the rare rows it was made for.

## How it is seen
The recorded targets are counted (without those that the loss ignores), and the recall of each class is taken from the
outputs of the last quarter of the run: the rare classes are predicted for few of their rows. Whether class weights
help, or the inputs tell no more, is tried by replay. Class weights that the loss has are compared with the counts: a
class may have more weight the more rows it has, because the ratio was taken the wrong way round.

## What to do
Give the rare classes more weight in the loss (`pos_weight`, `weight`), or sample them more often
(`WeightedRandomSampler`). Judge by balanced accuracy (the mean recall of the classes), not by accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Remedy, Site
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.weigh_rows import WeighRows
from unstuck.remedies.weight_classes import TAKES, WeightClasses
from unstuck.signals.class_recall import hit_rates
from unstuck.signals.class_weights import ClassWeights
from unstuck.signals.learning import Learning
from unstuck.signals.losses import Losses
from unstuck.signals.sequences import Sequences

STAGE = Stage.SAMPLING
MISSED = 0.45
"""Mean recall of the rare classes up to which they count as missed: fewer than half of their rows are found, with some
distance from one half for what a quarter of a run shows by chance."""
SELDOM = 0.1
"""Only the wording depends on it."""
HEAVIEST = 100.0
"""No class weight is larger: the few rows of a class so rare would make up most of the gradient."""


def check(
    learning: Learning, losses: Losses, sequences: Sequences | None, weights: ClassWeights | None
) -> Iterator[Finding]:
    """Compare class counts and recall; labels of padding are another rule's (padding-unmasked)."""
    yard, task = learning.yardstick, learning.task
    if task.kind not in ("binary", "classes"):
        raise NotApplicable(f"the task has no mutually exclusive classes ({task.kind})")
    if not yard.balanced:
        return
    rates = hit_rates(losses)
    counts = yard.counts
    common = int(counts.argmax())
    if sequences is not None and any(label == common for _, label, _ in sequences.scored()):
        return
    rare = [float(rates[c]) for c in range(len(counts)) if c != common and counts[c] > 0 and c < len(rates)]
    if not rare or sum(rare) / len(rare) > MISSED:
        return
    share, recall = float(counts[common] / counts.sum()), sum(rare) / len(rare)
    often = "hardly ever predicted" if recall < SELDOM else "predicted for fewer than half of their rows"
    said = f"class imbalance: {share:.1%} of the rows are of class {common}, and the rare classes are {often}"
    evidence = (
        Evidence(f"share of class {common}", share, "below 0.8"),
        Evidence("mean recall of the rare classes", recall, f"like that of class {common}"),
    )
    site = task.loss.site if task.loss is not None else None
    if weights is not None and weights.reversed:
        yield _reversed(losses, weights, site, evidence)
    else:
        yield Finding("class-imbalance", said, site, evidence, tuple(_remedies(losses, counts)))


def _reversed(losses: Losses, found: ClassWeights, site: Site | None, evidence: tuple[Evidence, ...]) -> Finding:
    common, rare = int(found.counts.argmax()), int(torch.where(found.counts > 0, found.counts, torch.inf).argmin())
    more, less = float(found.weights[common]), float(found.weights[rare])
    said = (
        f"the loss gives the frequent class {common} weight {more:.3g} and the rare class {rare} weight {less:.3g}: "
        "the class weights are the wrong way round"
    )
    ratio = Evidence(f"weight of class {rare} / weight of class {common}", less / more, "above 1")
    remedies = tuple(_remedies(losses, found.counts, instead=True))
    return Finding("class-imbalance", said, site, (*evidence, ratio), remedies, known="observed", never_meant=True)


def _remedies(losses: Losses, counts: torch.Tensor, instead: bool = False) -> Iterator[Remedy]:
    call = losses.task.loss
    if call is None or call.site is None:
        return
    if losses.task.kind == "binary":
        weight = min(float(counts[0] / counts[1].clamp(min=1)), HEAVIEST)
        if call.name == "binary_cross_entropy":
            yield WeighRows(weight, call.site)
        elif call.name in TAKES:
            yield WeightClasses((weight,), call.site, call.name, instead)
    elif call.name in TAKES:
        weights = counts.sum() / (len(counts) * counts.clamp(min=1))
        weights = torch.where(counts > 0, weights.clamp(max=HEAVIEST), 1.0)
        yield WeightClasses(tuple(weights.tolist()), call.site, call.name, instead)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(9)
y = (torch.rand(2000) < {share}).float()
x = torch.randn(2000, 6) + {apart} * y.unsqueeze(1)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
criterion = nn.BCEWithLogitsLoss()
for epoch in range(10):
    for rows in torch.randperm(2000).split(50):
        optimizer.zero_grad()
        loss = criterion(model(x[rows]).squeeze(1), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(share=0.03, apart=0.5)
QUIET = _SCRIPT.format(share=0.4, apart=0.5)
