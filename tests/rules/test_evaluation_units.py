"""Rows of the evaluation in other units than those of the training: proven by the trained network itself."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

FAULT = "preprocess-mismatch"
SCRIPT = """
import torch
from sklearn.datasets import load_wine
from torch import nn

torch.manual_seed(0)
table, y = load_wine(return_X_y=True)
table, y = torch.tensor(table, dtype=torch.float32), torch.tensor(y)
order = torch.randperm(len(y))
train, test = order[:120], order[120:]
mean, std = table[train].mean(0), table[train].std(0)


def prepared(rows, std):
    {units}
    return (rows - mean) / std


first, second = prepared(table[train], std), prepared(table[test], std)
model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(120).split(16):
        loss = nn.functional.cross_entropy(model(first[rows]), y[train][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("accuracy", (model(second).argmax(1) == y[test]).float().mean().item())
"""


@pytest.mark.parametrize("units", ["std *= 6", "std *= 3; rows = rows * 0.5"])
def test_other_units_are_proven_where_the_same_units_make_the_answers_right(units: str, findings: Findings) -> None:
    (finding,) = findings(SCRIPT.format(units=units), FAULT)
    assert finding.certain and finding.effect.word == "proven"
    assert "once each feature has the training's mean" in finding.effect.because


def test_the_same_units_are_not_reported(findings: Findings) -> None:
    assert not findings(SCRIPT.format(units="std = std * 6"), FAULT)
