"""Terms of a loss whose targets lie outside the range of an activation, where a mask says which of them count."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

FAULT = "output-range"
SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
x = torch.randn(160, 6)
there = (torch.rand(160, 20) < 0.05).float()
where = {low} + torch.rand(160, 20)
model = nn.Linear(6, 40)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for rows in torch.randperm(160).split(16):
    seen, place = model(x[rows]).chunk(2, 1)
    place = torch.sigmoid(place)
    mask, wanted = there[rows], where[rows]
    loss = F.binary_cross_entropy_with_logits(seen, mask)
    loss = loss + (mask * (place - wanted) ** 2).sum() / mask.sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_targets_that_count_and_cannot_be_reached_are_a_fact(findings: Findings) -> None:
    (found,) = findings(SCRIPT.format(low="-0.5"), FAULT)
    assert found.effect.word == "proven" and "sigmoid limits the output to 0 .. 1; 4" in found.message


@pytest.mark.parametrize("low", ["0.0", "-0.5 * (there == 0) + 0.0"])
def test_targets_that_can_be_reached_or_do_not_count_are_not_reported(low: str, findings: Findings) -> None:
    assert not findings(SCRIPT.format(low=low), FAULT)
