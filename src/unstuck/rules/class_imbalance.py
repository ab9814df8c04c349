"""One class is so frequent that the network answers with it always.

## Why it hurts
Where 97 of 100 rows belong to one class, always naming it is right in 97 of 100 cases and costs little. The rare rows
pull the other way, but each batch holds one or two of them, or none. The loss looks low and the accuracy high, while
not one of the rare rows, for which the network was made, is found.

## How it is seen
The recorded targets are counted, and the recorded outputs of the last quarter of the run: nearly all of the decisions
name the frequent class. Whether that is this fault, or simply all that the inputs tell, is tried with weights.

## What to do
Give the rare classes more weight in the loss (`pos_weight`, `weight`), or draw them more often
(`WeightedRandomSampler`). Judge by the mean of the classes' own hit rates, not by accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Remedy
from unstuck.remedies.weigh_rows import WeighRows
from unstuck.remedies.weight_classes import TAKES, WeightClasses
from unstuck.signals.class_recall import hit_rates
from unstuck.signals.learning import Learning
from unstuck.signals.losses import Losses
from unstuck.signals.sequences import Sequences

MISSED = 0.45
"""Mean hit rate of the rare classes up to which they count as missed: fewer than half of them are found."""
SELDOM = 0.1
"""Below this they are hardly ever named."""
HEAVIEST = 100.0
"""No class is weighed up by more than this: a handful of rows would rule the gradient."""


def check(learning: Learning, endings: Losses, sequences: Sequences | None) -> Iterator[Finding]:
    """The classes' counts, and the hit rates of the last quarter; where padding is the frequent class, that is said."""
    yard, task = learning.yardstick, learning.task
    if task.kind not in ("binary", "classes"):
        raise NotApplicable(f"the task has no classes that exclude each other ({task.kind})")
    if not yard.balanced:
        return
    rates = hit_rates(endings)
    counts = yard.counts
    common = int(counts.argmax())
    if sequences is not None and any(label == common for _, label, _ in sequences.scored()):
        return
    rare = [float(rates[c]) for c in range(len(counts)) if c != common and counts[c] > 0 and c < len(rates)]
    if not rare or sum(rare) / len(rare) > MISSED:
        return
    share = float(counts[common] / counts.sum())
    site = task.loss.site if task.loss is not None else None
    named = "hardly ever named" if sum(rare) / len(rare) < SELDOM else "named in fewer than half of their cases"
    said = f"{share:.1%} of the rows are of class {common}, and the rare ones are {named}"
    evidence = (
        Evidence(f"share of class {common}", share, "below 0.8"),
        Evidence("hit rate of the rare classes", sum(rare) / len(rare), "like that of the frequent one"),
    )
    yield Finding("class-imbalance", said, site, evidence, tuple(_remedies(endings, counts)))


def _remedies(endings: Losses, counts: torch.Tensor) -> Iterator[Remedy]:
    call = endings.task.loss
    if call is None or call.site is None:
        return
    if endings.task.kind == "binary":
        weight = float(min(counts[0] / counts[1].clamp(min=1), torch.tensor(HEAVIEST, dtype=counts.dtype)))
        if call.name == "binary_cross_entropy":
            yield WeighRows(weight, call.site)
        elif call.name in TAKES:
            yield WeightClasses((weight,), call.site, call.name)
    elif call.name in TAKES:
        weights = counts.sum() / (len(counts) * counts.clamp(min=1))
        weights = torch.where(counts > 0, weights.clamp(max=HEAVIEST), 1.0)
        yield WeightClasses(tuple(weights.tolist()), call.site, call.name)


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
