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


BROKEN = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(300, 10)
y = (x[:, 0] {noise} > 0).long()


def network():
    return nn.Sequential(nn.Linear(10, 128), {layer}, nn.ReLU(), nn.Linear(128, 2))


model = network()
first = {{name: value.clone() for name, value in model.state_dict().items()}}
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(30):
    for rows in torch.randperm({rows}).split(20):
        loss = F.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
{before}
with torch.no_grad():
    held = F.cross_entropy({asked}, y[200:])
print(held.item())
"""
KINDS = {
    "other preparation": ("+ 0", "nn.Identity()", 200, "", "model(30 * x[200:].flip(1) + 200)"),
    "other weights": ("+ 0", "nn.Identity()", 200, "model = network()", "40 * model(x[200:])"),
    "first weights": ("+ 0", "nn.Identity()", 200, "model.load_state_dict(first)", "40 * model(x[200:])"),
    "other statistics": ("+ 0", "nn.BatchNorm1d(128, momentum=1.0)", 200, "model(1e3 * x[:9]); model.eval()",
                         "40 * model(x[200:])"),
    "training rows": ("+ torch.randn(300)", "nn.Identity()", 40, "", "model(x[200:])"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_an_evaluation_that_is_wrong_itself_is_no_overfitting(kind: str, record: Record) -> None:
    noise, layer, rows, before, asked = KINDS[kind]
    tape = record(BROKEN.format(noise=noise, layer=layer, rows=rows, before=before, asked=asked))
    _, (outcome,) = examine(Readings(tape), {"overfitting": catalogue()["overfitting"]})
    assert (outcome.status == "fired") is (kind == "training rows"), outcome.why
