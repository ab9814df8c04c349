"""An argmax over the single output of a network is always 0; the tape says how many outputs there are."""

from __future__ import annotations

import pytest

from tests.recorded import Findings
from tests.scripts import edited, run

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 4)
y = (x[:, 0] > 0.7).float().unsqueeze(1)
widths = [4, 24, {outputs}]
model = nn.Sequential(nn.Linear(widths[0], widths[1]), nn.Tanh(), nn.Linear(widths[1], widths[2]))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(60):
    out = model(x)
    loss = nn.functional.mse_loss(out[:, :1], y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    pred = {picked}
    accuracy = pred.eq(y.view_as(pred)).float().mean().item()
print(accuracy)
"""


@pytest.mark.parametrize(
    ("picked", "instead"),
    [
        ("out.max(1, keepdim=True)[1]", "(out > 0.5).long()"),
        ("torch.max(out, 1).indices", "(out > 0.5).long().squeeze(1)"),
        ("out.argmax(1)", "(out > 0.5).long().squeeze(1)"),
        ("out.argmax(1, keepdim=True)", "(out > 0.5).long()"),
    ],
)
def test_the_largest_of_one_is_reported_and_replaced(picked: str, instead: str, findings: Findings) -> None:
    text = SCRIPT.format(outputs=1, picked=picked)
    (finding,) = findings(text, "metric-error")
    assert "always class 0" in finding.message
    mended = edited(finding.remedies[0], text)
    assert f"pred = {instead}" in mended
    assert float(run(text)[1]) < 0.9 < float(run(mended)[1])


def test_the_larger_of_two_is_not_reported(findings: Findings) -> None:
    assert findings(SCRIPT.format(outputs=2, picked="out.argmax(1)"), "metric-error") == []
