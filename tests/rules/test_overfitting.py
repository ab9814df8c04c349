"""The held-out loss, where an evaluation leads to an accuracy: it is computed from the outputs and the targets."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.examine import Readings, examine
from unstuck.rules.catalogue import catalogue

SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(400, 10)
y = (x[:, 0] + torch.randn(400) > 0).long()
layers = nn.Sequential(nn.Linear(10, 128), nn.ReLU(), nn.Linear(128, 2))


def forward(x, y):
    logits = layers(x)
    return F.cross_entropy(logits, y), (logits.argmax(1) == y).float().mean()


optimizer = torch.optim.Adam(layers.parameters(), lr=0.02)
for epoch in range({epochs}):
    for rows in torch.randperm({rows}).split(20):
        loss, _ = forward(x[rows], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        loss, accuracy = forward(x[300:], y[300:])
    print(loss.item(), accuracy.item())
"""


@pytest.mark.parametrize(("epochs", "rows", "status"), [(40, 40, "fired"), (2, 300, "quiet")])
def test_a_forward_that_gives_loss_and_accuracy_tells_of_overfitting(
    epochs: int, rows: int, status: str, record: Record
) -> None:
    tape = record(SCRIPT.format(epochs=epochs, rows=rows))
    _, (outcome,) = examine(Readings(tape), {"overfitting": catalogue()["overfitting"]})
    assert outcome.status == status
