"""Faults below the thresholds of their rules, through the whole pipeline: experiments name them all the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole import diagnosed

pytestmark = pytest.mark.net

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(1200, 8)
{task}
{data}
model = nn.Sequential(nn.Linear(8, 64), nn.{unit}(), nn.Linear(64, 64), nn.{unit}(), nn.Linear(64, {outputs}))
{first}
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(20):
    for batch in torch.randperm(1000).split(50):
        loss = nn.functional.{loss}(model(x[:1000][batch]), y[:1000][batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    answer = model(x[1000:])
    {said}
"""
CLASSES = {
    "task": "y = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] + x[:, 3] > 0).long()",
    "unit": "Tanh", "outputs": 3, "loss": "cross_entropy",
    "said": "print('test accuracy', (answer.argmax(1) == y[1000:]).float().mean().item())",
}  # fmt: skip
VALUES = {
    "task": "y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.5 * x[:, 3:4]\ny = (y - y.mean()) / y.std()",
    "unit": "ReLU", "outputs": 1, "loss": "mse_loss",
    "said": "print('test R2', 1 - ((y[1000:] - answer) ** 2).mean().item() / y[1000:].var().item())",
}  # fmt: skip
FIRST, ALL = "model[0].weight", "*model.parameters()"
UNITS = "x = 0.4 * x + 1.1"


def times(factor: int, weights: str) -> str:
    return f"with torch.no_grad():\n    for p in [{weights}]:\n        p.mul_({factor})"


@pytest.mark.parametrize(("task", "data", "first", "faults"), [
    (CLASSES, "", times(100, FIRST), {"bad-init"}),
    (CLASSES, "", times(6, ALL), {"bad-init"}),
    (VALUES, "y = 9 * y + 30", times(6, ALL), {"target-scale", "bad-init"}),
    (CLASSES, UNITS, "", {"input-offset"}),
], ids=["first weights x100", "weights x6", "weights x6, targets x9 + 30", "inputs x0.4 + 1.1"])  # fmt: skip
def test_what_heals_at_the_rate_as_written_is_the_cause(
    task: dict[str, object], data: str, first: str, faults: set[str], tmp_path: Path
) -> None:
    diagnosis = diagnosed(SCRIPT.format(**task, data=data, first=first), tmp_path / "script").diagnosis
    assert diagnosis.state in ("below-headroom", "does-not-learn")
    assert {f.fault for f in diagnosis.causes} == faults
    assert diagnosis.patch is not None and diagnosis.patch.proven


@pytest.mark.parametrize("task", [CLASSES, VALUES], ids=["classes", "values"])
def test_without_a_fault_nothing_is_found(task: dict[str, object], tmp_path: Path) -> None:
    diagnosis = diagnosed(SCRIPT.format(**task, data="", first=""), tmp_path / "script").diagnosis
    assert diagnosis.state == "learns-well"
    assert not diagnosis.causes and not diagnosis.suspects


UNEVEN = """
import torch
from torch import nn

torch.manual_seed(0)
words = torch.randint(0, 400, (1500, 6))
y = torch.randn(400)[words].sum(1, keepdim=True)
y = (y - y.mean()) / y.std()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(400, 16)
        self.shift = nn.Parameter(torch.zeros(1))
        self.layers = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, words):
        return self.layers(self.table(words).mean(1)) + 50 * self.shift


net = Net()
optimizer = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.5)
for epoch in range(30):
    for rows in torch.randperm(1500).split(50):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(words[rows]), y[rows])
        loss.backward()
        optimizer.step()
print("R2", 1 - ((net(words) - y) ** 2).mean().item())
"""


def test_where_no_rate_of_plain_descent_helps_adam_does(tmp_path: Path) -> None:
    diagnosis = diagnosed(UNEVEN, tmp_path / "script").diagnosis
    assert [f.fault for f in diagnosis.causes] == ["lr-too-low"]
    assert diagnosis.patch is not None and diagnosis.patch.proven and "torch.optim.Adam(" in diagnosis.patch.diff
