"""Gradients that are cleared before any step uses them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.thrown_away import ThrownAway

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
loss_of = lambda a, b: nn.functional.cross_entropy(model(a), b)
for epoch in range(2):
    for i, rows in enumerate(torch.randperm(400).split(10)):
        a, b = x[rows], y[rows]
{body}
print(epoch)
"""
SICK = {
    "cleared in every micro-batch": "optimizer.zero_grad(); loss_of(a, b).backward()\nif i % 4 == 3: optimizer.step()",
    "cleared by the model": "model.zero_grad(); loss_of(a, b).backward()\nif i % 2: optimizer.step()",
    "set to zero": "optimizer.zero_grad(set_to_none=False); loss_of(a, b).backward()\nif i % 8 == 7: optimizer.step()",
    "cleared by hand": "for p in model.parameters(): p.grad = None\n"
    "loss_of(a, b).backward()\nif i % 4 == 3: optimizer.step()",
    "divided losses": "optimizer.zero_grad(); (loss_of(a, b) / 4).backward()\nif i % 4 == 3: optimizer.step()",
    "cleared behind the backward": "loss_of(a, b).backward()\nif i % 4 == 3: optimizer.step()\noptimizer.zero_grad()",
}
HEALTHY = {
    "one batch, one step": "optimizer.zero_grad(); loss_of(a, b).backward(); optimizer.step()",
    "accumulated": "(loss_of(a, b) / 4).backward()\nif i % 4 == 3: optimizer.step(); optimizer.zero_grad()",
    "accumulated, cleared first": "if i % 4 == 0: optimizer.zero_grad()\n"
    "loss_of(a, b).backward()\nif i % 4 == 3: optimizer.step()",
    "an adversarial input": "a = a.clone().requires_grad_(); loss_of(a, b).backward(); g = a.grad.sign()\n"
    "optimizer.zero_grad(); loss_of((a + 0.1 * g).detach(), b).backward(); optimizer.step()",
    "batches without a loss": "optimizer.zero_grad(); loss = loss_of(a, b)\n"
    "if i % 2: loss.backward(); optimizer.step()",
    "a bad batch left out": "optimizer.zero_grad(); loss = loss_of(a, b); loss.backward()\nif i % 10: optimizer.step()",
}


def share(body: str, folder: Path) -> float:
    text = "\n".join(f"        {line}" for line in body.split("\n"))
    try:
        return ThrownAway.read(tape_of(SCRIPT.format(body=text), folder)).share
    except NotApplicable:
        return 0.0


@pytest.mark.parametrize("case", SICK)
def test_gradients_that_no_step_used_are_counted(case: str, tmp_path: Path) -> None:
    assert share(SICK[case], tmp_path) >= 0.5


@pytest.mark.parametrize("case", HEALTHY)
def test_gradients_that_a_step_used_are_not(case: str, tmp_path: Path) -> None:
    assert share(HEALTHY[case], tmp_path) < 0.2
