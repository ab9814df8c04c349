"""A loss that gets raw outputs is told at the line that the remedy rewrites."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.source.text import Sources

SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(120, 6)
y = (x[:, 0] > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 16), nn.Linear(16, {outputs})

    def forward(self, x):
        return 4 * self.two(self.one(x).relu())


net, {criterion}
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for rows in torch.randperm(120).split(20):
    out, target = net(x[rows]), y[rows]
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
BINARY = "criterion(out.squeeze(1), target.float())"


@pytest.mark.parametrize(
    ("criterion", "outputs", "loss", "told"),
    [
        ("criterion = Net(), nn.NLLLoss()", 2, "criterion(out, target)", "nn.NLLLoss()"),
        ("other = Net(), nn.NLLLoss()", 2, "F.nll_loss(out, target)", "F.nll_loss(out, target)"),
        ("criterion = Net(), nn.BCELoss()", 1, BINARY, "nn.BCELoss()"),
    ],
)
def test_it_is_told_at_the_line_that_the_remedy_rewrites(
    criterion: str, outputs: int, loss: str, told: str, record: Record, findings: Findings
) -> None:
    tape = record(SCRIPT.format(criterion=criterion, outputs=outputs, loss=loss))
    (found,) = findings(tape, "missing-activation")
    before, (remedy,) = tape.sources["train.py"], found.remedies
    after = remedy.edit(Sources(tape.sources, tape.script)).files["train.py"]
    line = (found.site.line if found.site else 0) - 1
    assert told in before.splitlines()[line]
    assert told not in after.splitlines()[line]
