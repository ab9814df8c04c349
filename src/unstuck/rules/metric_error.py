"""A loss or an accuracy that the script reports is computed wrongly.

## Why it hurts

The network may be learning well, or not at all: the number that should tell says something else. A validation loss
that stays at 0, an accuracy of 3 % beside a falling loss, one above 100 % or one that never moves send people to mend a
network that is not broken, or make them trust one that is.

## How it is seen

The text is read. A total starts at zero, is printed, and nothing is ever added to it while a neighbour is added to
twice. A count of right answers is assigned in the batch loop where it should grow, and is then divided by the number of
all samples. A count is divided by the number of batches, or the mean of each batch by the number of samples. A total is
divided per epoch but never starts again. Logits are rounded or compared with one half; probabilities are compared with
zero; the largest output is sought along the batch. Only forms that are wrong for certain are reported.

## What to do

Add to the total that is reported, start it at zero where its divisor starts, divide a sum by the number of things that
were summed, and turn outputs into answers on the scale they are on: logits are compared with 0, probabilities with 0.5,
classes are picked with `argmax(dim=1)`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis import Finding
from unstuck.rules._decisions import wrong_decisions
from unstuck.rules._totals import wrong_totals
from unstuck.signals.predictions import Predictions


def check(predictions: Predictions) -> Iterator[Finding]:
    """Totals first, then the decisions that are made on outputs."""
    yield from wrong_totals(predictions.totals)
    yield from wrong_decisions(predictions)


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] + x[:, 1] > 0).long()
train_loader = DataLoader(TensorDataset(x[:400], y[:400]), batch_size=20, shuffle=True)
val_loader = DataLoader(TensorDataset(x[400:], y[400:]), batch_size=20)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loss_fn = nn.CrossEntropyLoss()

for epoch in range(5):
    train_loss = 0.0
    val_loss = 0.0
    for xb, yb in train_loader:
        optimizer.zero_grad()
        loss = loss_fn(model(xb), yb)
        loss.backward()
        optimizer.step()
        train_loss += loss.item()
    with torch.no_grad():
        for xb, yb in val_loader:
            {added} += loss_fn(model(xb), yb).item()
    print(epoch, "train", train_loss / len(train_loader), "val", val_loss / len(val_loader))
"""

FIRES = _SCRIPT.format(added="train_loss")
QUIET = _SCRIPT.format(added="val_loss")
