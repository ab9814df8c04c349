"""NaN or infinity is in the data.

## Why it hurts
One NaN among the inputs makes the loss NaN, the gradient NaN, and after one step every weight NaN: from there on the
network gives NaN for any input, however clean. It takes a single row. Gaps in a table (empty cells), a division by a
column's spread of zero, the logarithm of zero and a sensor's error code are where it comes from.

## How it is seen
The tensors that entered the step are looked at, pass by pass, together with the loss they gave.

## What to do
Fill the gaps (with the column's mean) or drop the rows where the data is read; divide by spreads of at least some small
number. The patch puts zero in their place in front of the network, so that nothing else breaks.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.clean_inputs import CleanInputs
from unstuck.signals.nonfinite import Nonfinite, Slot


def check(nonfinite: Nonfinite) -> Iterator[Finding]:
    """Each slot in which something was not finite and that the loss felt: a mask of -inf, or gaps that the step leaves
    out by itself, do no harm."""
    for slot in nonfinite.slots:
        if slot.broke:
            yield _finding(nonfinite, slot)


def _finding(nonfinite: Nonfinite, slot: Slot) -> Finding:
    what = "the targets" if slot.is_target else "the inputs"
    where = f" (feature {', '.join(map(str, slot.columns))})" if slot.columns else ""
    said = f"{what} hold NaN or infinity{where} in {slot.passes} of {nonfinite.passes} batches"
    sure = f"the loss is no number from the first batch on that holds one (number {slot.first + 1})"
    evidence = (
        Evidence(f"share of {what} that is NaN or infinite", slot.share, "0"),
        Evidence("batches that hold one", float(slot.passes), "0"),
    )
    remedies = () if slot.is_target else (CleanInputs.of(nonfinite.program, slot.slot),)
    sure = sure if slot.sound_before else ""
    return Finding("input-nonfinite", said, slot.call.site, evidence, remedies, "error", demonstrated=sure)


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
