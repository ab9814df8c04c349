"""Rows that come back: with the same values, with random changes, or drifting by one map."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.revisits import Revisits

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = {x}
y = (x.flatten(1)[:, :6].sum(1) > 0).float()
model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 8), nn.ReLU(), nn.Linear(8, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(5):
    for rows in torch.randperm(len(x)).split(20):
        b = x[rows]
        {change}
        loss = nn.functional.binary_cross_entropy_with_logits(model(b)[:, 0], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
ROWS, PICTURES = "torch.randn(80, 12)", "torch.rand(80, 1, 5, 5)"
SICK = {
    "scaled in place": (ROWS, "x[rows] *= 0.7"),
    "normalised in place": (PICTURES, "b = (b - 0.5) / 0.3; x[rows] = b"),
    "shifted in place": (PICTURES, "x[rows] -= 0.3; b = x[rows]"),
    "grey values divided again": ("255 * torch.rand(80, 16)", "b = b / 2; x[rows] = b"),
    "a shrinking picture": (PICTURES, "x[rows] = b = b * 0.9 + 0.01"),
    "standardised by constants again": (ROWS, "x[rows] = b = (b - 0.1) / 0.8"),
}
HEALTHY = {
    "as stored": (ROWS, "pass"),
    "noise on the inputs": (ROWS, "b = b + 0.1 * torch.randn_like(b)"),
    "brightness and contrast": (
        PICTURES,
        "b = b * (0.7 + 0.6 * torch.rand(20, 1, 1, 1)) + 0.2 * torch.rand(20, 1, 1, 1)",
    ),
    "dropout on the inputs": (ROWS, "b = nn.functional.dropout(b, 0.3)"),
    "flips": (PICTURES, "b = b.flip(-1) if torch.rand(()) < 0.5 else b"),
    "mixed rows": (ROWS, "b = 0.8 * b + 0.2 * b[torch.randperm(20)]"),
    "one factor per batch": (ROWS, "b = b * (0.5 + torch.rand(()))"),
    "normalised in a copy": (PICTURES, "b = (b - 0.5) / 0.3"),
    "rows in several copies": ("torch.randn(20, 12).repeat(4, 1)", "pass"),
}


def revisits(x: str, change: str, folder: Path) -> Revisits | None:
    try:
        return Revisits.read(tape_of(SCRIPT.format(x=x, change=change), folder))
    except NotApplicable:
        return None


@pytest.mark.parametrize("case", SICK)
def test_rows_that_drift_are_seen(case: str, tmp_path: Path) -> None:
    found = revisits(*SICK[case], tmp_path)
    assert found is not None and found.drifts and found.visits > 2


@pytest.mark.parametrize("case", HEALTHY)
def test_other_changes_are_no_drift(case: str, tmp_path: Path) -> None:
    found = revisits(*HEALTHY[case], tmp_path)
    assert found is None or not found.drifts
