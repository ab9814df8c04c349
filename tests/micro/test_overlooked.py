"""Parts of the input that cannot change the loss."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import overlooked
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = {data}
y = torch.randint(0, 2, (300,))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.head = {layer}, nn.Linear(16, 2)

    def forward(self, x):
        return self.head({answer})


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    for rows in torch.randperm(300).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""
LINE = 16
TABLE, WORDS, PICTURES = "torch.randn(300, 20)", "torch.randint(0, 50, (300, 12))", "torch.rand(300, 1, 12, 12)"
LENGTHS = "torch.randint(1, 50, (300, 12)) * (torch.arange(12) < 3)"
CASES = {
    "columns": (TABLE, "nn.BatchNorm1d(20)", "self.layer(x)[:, :5].repeat(1, 4)[:, :16]", 15, 1),
    "words": (WORDS, "nn.Embedding(50, 16)", "self.layer(x)[:, 0]", 11, 1),
    "rows of a picture": (PICTURES, "nn.Conv2d(1, 16, 3)", "self.layer(x).relu()[:, :, :3].mean((2, 3))", 7, 2),
}
HEALTHY = {
    "a mean": (WORDS, "nn.Embedding(50, 16)", "self.layer(x).mean(1)"),
    "padding behind the longest": (LENGTHS, "nn.Embedding(50, 16)", "self.layer(x)[:, :3].mean(1)"),
    "columns that are ids": (
        "torch.randint(0, 9, (300, 20)).float()",
        "nn.Embedding(9, 16)",
        "self.layer(x[:, :15].long()).mean(1) + x[:, 15:].mean(1, keepdim=True)",
    ),
    "dropout": (TABLE, "nn.Linear(20, 16)", "self.layer(nn.functional.dropout(x, 0.8)).relu()"),
    "the edge of a picture": (PICTURES, "nn.Conv2d(1, 16, 3)", "self.layer(x).relu()[:, :, 2:8, 2:8].mean((2, 3))"),
}


@pytest.mark.parametrize("case", CASES)
def test_places_that_nothing_reads_are_told(case: str, record: Record) -> None:
    data, layer, answer, left, axis = CASES[case]
    reading = overlooked.ask(Recorded(record(SCRIPT.format(data=data, layer=layer, answer=answer))))
    (told,) = reading.statements
    assert (reading.left, reading.axis) == (left, axis)
    assert told.site is not None and told.site.line == LINE
    assert f"on {left} of the" in told.what


@pytest.mark.parametrize("case", HEALTHY)
def test_nothing_is_told_where_every_place_counts(case: str, record: Record) -> None:
    data, layer, answer = HEALTHY[case]
    assert overlooked.ask(Recorded(record(SCRIPT.format(data=data, layer=layer, answer=answer)))).statements == ()
