"""A class of which nothing is learnt, while the others are."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import classes
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(1000, 6)
score = x @ torch.randn(6, 5)
y = score.argmax(1)
train, test = torch.arange(700), torch.arange(700, 1000)
{change}
model = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 5))
criterion = nn.CrossEntropyLoss({options})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(10):
    for rows in train[torch.randperm(len(train))].split(50):
        loss = criterion(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("accuracy", (model(x[test]).argmax(1) == y[test]).float().mean().item())
"""


@pytest.mark.parametrize(
    ("change", "options", "reason"),
    [
        ("pass", "ignore_index=2", "the loss counts none of its"),
        ("pass", "weight=torch.tensor([1.0, 1, 0, 1, 1])", "the loss counts none of its"),
        ("train = train[y[train] != 2]", "", "no row of it was trained on"),
        ("y[700:][y[700:] == 2] = 9\ny[700:][y[700:] == 1] = 2\ny[700:][y[700:] == 9] = 1", "", "numbered differently"),
    ],
)
def test_a_class_that_is_not_learnt_is_told_with_the_reason(
    change: str, options: str, reason: str, record: Record
) -> None:
    (told,) = classes.ask(Recorded(record(SCRIPT.format(change=change, options=options)))).statements
    assert "rows of class " in told.what and reason in told.what


@pytest.mark.parametrize(
    "change",
    [
        "pass",
        "rare = train[y[train] == 2]\ntrain = torch.cat([train[y[train] != 2], rare[:3]])",  # class-imbalance's matter
        "y = torch.randint(0, 5, (1000,))",  # nothing is learnt of any class
    ],
)
def test_other_classes_are_not(change: str, record: Record) -> None:
    assert not classes.ask(Recorded(record(SCRIPT.format(change=change, options="")))).statements
