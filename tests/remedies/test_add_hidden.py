"""One linear layer becomes two with a ReLU between them."""

from __future__ import annotations

import pytest

from tests.scripts import edited, run
from unstuck.remedies.add_hidden import AddHidden

LINEAR = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(900, 4)
y = (x[:, 0] ** 2 + x[:, 1] ** 2 > 1.4).long()
model = {model}
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(2):
    for rows in torch.randperm(900).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Linear(4, 2)", "nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))"),
        (
            "nn.Linear(out_features=2, in_features=4, bias=False)",
            "nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2, bias=False))",
        ),
        ("nn.Linear(4, out_features=2)", "nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))"),
    ],
)
def test_a_linear_layer_becomes_two(before: str, after: str) -> None:
    new = edited(AddHidden("model.weight", 16), LINEAR.format(model=before))
    assert f"model = {after}\n" in new
    run(new)
