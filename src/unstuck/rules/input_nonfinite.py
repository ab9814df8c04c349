"""The data contain NaN or infinity.

## Why it hurts
One NaN among the inputs makes the loss NaN, the gradient NaN, and after one step every weight NaN: from then on the
network returns NaN for any input. A single row is enough. Usual sources are empty cells of a table, a division by a
standard deviation of zero, the logarithm of zero, and a sensor's error code.

## How it is seen
The tensors that enter each recorded step are searched for NaN and infinity, and the losses of these steps looked at. A
mask of -inf, or missing values that the step leaves out by itself, are not reported.

## What to do
Fill missing values (with the mean of the column) or drop the rows where the data is read; add a small number to
standard deviations before dividing by them. The patch replaces NaN and infinity by zero in front of the network, which
changes nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.clean_inputs import CleanInputs
from unstuck.signals.nonfinite import Nonfinite, Slot

STAGE = Stage.DATA
NEVER_MEANT = True


def check(nonfinite: Nonfinite) -> Iterator[Finding]:
    """Report each slot whose NaN or infinity reached the loss."""
    for slot in nonfinite.slots:
        if slot.broke:
            yield _finding(nonfinite, slot)


def _finding(nonfinite: Nonfinite, slot: Slot) -> Finding:
    what = "targets" if slot.is_target else "inputs"
    features = f" (feature {', '.join(map(str, slot.columns))})" if slot.columns else ""
    said = f"the {what} contain NaN or infinity{features} in {slot.passes} of {nonfinite.passes} batches"
    sure = f"the loss is NaN or infinite from batch {slot.first + 1} on, the first to contain one"
    evidence = (
        Evidence(f"share of the {what} that is NaN or infinite", slot.share, "0"),
        Evidence("batches that contain one", float(slot.passes), "0"),
    )
    remedies = () if slot.is_target else (CleanInputs.of(nonfinite.program, slot.slot),)
    effect = proven(sure) if slot.sound_before else Effect(because="the loss was NaN or infinite before that")
    return Finding(
        "input-nonfinite", said, slot.call.site, evidence, remedies, "error", known="observed", effect=effect
    )


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(4)
table = torch.randn(500, 6)
label = (table[:, 1] + table[:, 4] > 0).long()
{gaps}
model = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(10):
    for rows in torch.randperm(500).split(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(table[rows]), label[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(gaps='table[torch.rand(500) < 0.05, 2] = float("nan")')
QUIET = _SCRIPT.format(gaps="table[torch.rand(500) < 0.05, 2] = 0.0")
