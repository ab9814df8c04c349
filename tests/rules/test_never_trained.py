"""Weights that an optimizer holds and evaluations read, and no training step uses."""

from __future__ import annotations

from tests.recorded import Findings

FAULT = "frozen-params"
HEADS = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 6)
y = x[:, :3] * 2
body = nn.Linear(6, 16)
heads = nn.ModuleList([nn.Linear(16, 1) for _ in range(3)])
optimizer = torch.optim.Adam([*body.parameters(), *heads.parameters()], lr=0.01)


def loss_of(rows):
    total = 0.0
    for n, head in enumerate(heads):
        total = total + ((head(torch.tanh(body(x[rows])))[:, 0] - y[rows, n]) ** 2).mean()
        {end}
    return total


for epoch in range(4):
    for rows in torch.randperm(300).split(30):
        optimizer.zero_grad()
        loss = loss_of(rows)
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print([((head(torch.tanh(body(x)))[:, 0] - y[:, n]) ** 2).mean().item() for n, head in enumerate(heads)])
"""


def test_heads_that_only_evaluations_read_are_never_trained(findings: Findings) -> None:
    (finding,) = findings(HEADS.format(end="return total"), FAULT)
    assert "heads.1.bias and 3 more" in finding.message
    assert (finding.known, finding.effect.word) == ("observed", "proven")


def test_heads_that_all_steps_use_are_not_reported(findings: Findings) -> None:
    assert findings(HEADS.format(end="pass"), FAULT) == []
