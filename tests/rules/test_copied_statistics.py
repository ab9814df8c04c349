"""A copy of the network that follows the trained parameters and is evaluated: with or without their buffers."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

FAULT = "batchnorm-misuse"
SCRIPT = """
import copy

import torch
from torch import nn

torch.manual_seed(0)
x = 20 + torch.randn(500, 8)
y = (x[:, 0] + x[:, 1] > x[:, 2] + x[:, 3]).long()
model = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
average = copy.deepcopy(model).eval()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(400).split(20):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for a, b in zip(average.parameters(), model.parameters()):
                a.lerp_(b, 0.1)
            {buffers}
    with torch.no_grad():
        print((average(x[400:]).argmax(1) == y[400:]).float().mean().item())
"""


def test_a_copy_without_the_buffers_is_reported(findings: Findings) -> None:
    text = SCRIPT.format(buffers="pass")
    (finding,) = findings(text, FAULT)
    assert finding.known == "observed" and finding.effect.word == "proven"
    assert "running statistics of a new layer" in finding.message
    assert finding.site is not None
    assert "average.parameters()" in text.splitlines()[finding.site.line - 1]


@pytest.mark.parametrize(
    "buffers",
    [
        "[a.copy_(b) for a, b in zip(average.buffers(), model.buffers())]",
        "average.load_state_dict(model.state_dict())",
    ],
)
def test_nothing_is_said_of_a_copy_with_its_buffers(buffers: str, findings: Findings) -> None:
    assert findings(SCRIPT.format(buffers=buffers), FAULT) == []
