"""Class weights that give a class more weight the more rows it has."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.source.text import Sources

FAULT = "class-imbalance"
SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(1200, 6)
score = x[:, 0] + 0.3 * torch.randn(1200)
y = {target}
criterion = {criterion}
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, {outputs}))
optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
for epoch in range(3):
    for rows in torch.randperm(1200).split(50):
        loss = criterion(model(x[rows]){shape}, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
BINARY = {"target": "(score > 1.6).float()", "outputs": 1, "shape": ".squeeze(1)"}
CLASSES = {"target": "(score > 1.6).long() + (score > 2.2).long()", "outputs": 3, "shape": ""}
CASES = [
    (BINARY, "nn.BCEWithLogitsLoss(pos_weight=y.mean() / (1 - y.mean()))"),
    (CLASSES, "nn.CrossEntropyLoss(weight=torch.bincount(y) / 1200)"),
]


@pytest.mark.parametrize(("kind", "criterion"), CASES)
def test_reversed_weights_are_a_fact_and_are_replaced(
    kind: dict, criterion: str, record: Record, findings: Findings
) -> None:
    tape = record(SCRIPT.format(criterion=criterion, **kind))
    (found,) = findings(tape, FAULT)
    assert found.certain and "wrong way round" in found.message
    after = found.remedies[0].edit(Sources(tape.sources, tape.script)).files["train.py"]
    assert "eight=torch.tensor([" in after and criterion not in after
    assert not [f for f in findings(record(after), FAULT) if f.certain]


@pytest.mark.parametrize(
    ("kind", "criterion"),
    [
        (BINARY, "nn.BCEWithLogitsLoss()"),
        (BINARY, "nn.BCEWithLogitsLoss(pos_weight=torch.tensor(1.2))"),
        (CLASSES, "nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 1.0]))"),
    ],
)
def test_other_weights_are_no_fact(kind: dict, criterion: str, findings: Findings) -> None:
    assert not [f for f in findings(SCRIPT.format(criterion=criterion, **kind), FAULT) if f.certain]
