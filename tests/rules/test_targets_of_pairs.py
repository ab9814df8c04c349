"""Losses of pairs, which take targets of -1 and 1."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

FAULT = "label-range"
SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
a, b = torch.randn(2, 120, 6)
same = (a[:, 0] * b[:, 0] > 0).float()
model = nn.Linear(6, 4)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for rows in torch.randperm(120).split(20):
    one, other, target = model(a[rows]), model(b[rows]), {target}
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
COSINE = "nn.functional.cosine_embedding_loss(one, other, target)"
RANKING = "nn.MarginRankingLoss(margin=1.0)(one[:, 0], other[:, 0], target)"


@pytest.mark.parametrize("loss", [COSINE, RANKING])
def test_targets_of_zero_and_one_are_reported(loss: str, findings: Findings) -> None:
    (finding,) = findings(SCRIPT.format(loss=loss, target="same[rows]"), FAULT)
    assert finding.known == "observed" and finding.effect.word == "proven"
    assert "takes targets of -1 and 1, but gets 0 to 1" in finding.message


@pytest.mark.parametrize("loss", [COSINE, RANKING])
def test_signs_are_left_alone(loss: str, findings: Findings) -> None:
    assert findings(SCRIPT.format(loss=loss, target="2 * same[rows] - 1"), FAULT) == []
