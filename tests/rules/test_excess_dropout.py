"""Dropout on the outputs, and dropout before a product with weights, which is none."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
who, y = torch.randint(0, 30, (400,)), torch.randint(0, 30, (400,))
table, layer, drop = nn.Embedding(30, 8), nn.Linear(8, 8), nn.Dropout(0.2)
last = nn.Linear(8, 30)
optimizer = torch.optim.SGD([*table.parameters(), *layer.parameters(), *last.parameters()], lr=0.01)
for rows in torch.randperm(400).split(20):
    scores = {scores}
    loss = nn.functional.cross_entropy(scores, y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("scores", "found"),
    [
        ("drop(last(layer(table(who[rows]))))", True),
        ("last(drop(layer(table(who[rows]))))", False),
        ("torch.mm(drop(layer(table(who[rows]))), table.weight.transpose(1, 0))", False),
        ("drop(layer(table(who[rows]))) @ table.weight.view(30, 8).T", False),
    ],
)
def test_only_dropout_behind_the_last_weights_is_on_the_outputs(scores: str, found: bool, findings: Findings) -> None:
    told = findings(SCRIPT.format(scores=scores), "excess-dropout")
    assert ["applied to the outputs" in f.message for f in told] == [True] * found
