"""An entry of argsort() is the place of who comes first; as a rank it is reported, as a place it is not."""

from __future__ import annotations

import pytest

from tests.recorded import Findings
from tests.scripts import edited, run

SCRIPT = """
import math
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
w = torch.randn(6)
model = nn.Linear(6, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for epoch in range(30):
    loss = nn.functional.softplus(model(x[1:]) - model(x[:-1]))[(x @ w)[:-1] > (x @ w)[1:]].mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
gain, names = 0.0, list(range(21))
for start in range(0, 378, 21):
    rows = x[start : start + 21]
    second = (rows @ w).argsort(descending=True)[1:2]
    rows = torch.cat([rows[second], rows[[n for n in range(len(rows)) if n != second]]])
    predictions = -model(rows)[:, 0].detach()
    {counted}
print(gain / 18)
"""
RANKS = {
    "rank = predictions.argsort()[0].item(); gain += 1 / math.log2(rank + 2)": "predictions.argsort().argsort()[0]",
    "rank = int(np.argsort(predictions.numpy())[0]); gain += 1.0 / (rank + 1)": (
        "np.argsort(predictions.numpy()).argsort()[0]"
    ),
    "ranks = torch.argsort(predictions[None], dim=1)[:, 0]; gain += (1 / (1 + ranks)).mean().item()": (
        "torch.argsort(predictions[None], dim=1).argsort(dim=1)[:, 0]"
    ),
}
PLACES = [
    "best = predictions.argsort()[0].item(); gain += 1 / (1 + names[best])",
    "best = predictions.argsort()[0].item(); gain += best == 0",
    "rank = predictions.argsort().argsort()[0].item(); gain += 1 / math.log2(rank + 2)",
    "order = predictions.argsort(); rank = order.argsort()[0].item(); gain += 1 / (rank + 1)",
    "rank = (predictions.argsort() == 0).nonzero().item(); gain += 1 / (rank + 1)",
    "best = predictions.argsort()[:3]; gain += 1 / (1 + best.float().mean().item())",
]


@pytest.mark.parametrize("counted", RANKS)
def test_an_entry_of_an_order_that_counts_as_a_rank_is_reported(counted: str, findings: Findings) -> None:
    text = SCRIPT.format(counted=counted)
    (finding,) = findings(text, "metric-error")
    assert "sort twice" in finding.message
    mended = edited(finding.remedies[0], text)
    assert RANKS[counted] in mended
    assert float(run(text)[1]) < float(run(mended)[1]) - 0.1


@pytest.mark.parametrize("counted", PLACES)
def test_an_entry_that_picks_or_is_compared_is_not(counted: str, findings: Findings) -> None:
    assert findings(SCRIPT.format(counted=counted), "metric-error") == []
