"""Ids that are numbered anew for the evaluation, where the script evaluates its training rows as well."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import same_ids
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
users = torch.randint(0, 60, (1500,))
wanted = 2 * torch.randn(60)[users] + 0.5 * torch.randn(1500)
train, test = (users[:1000], wanted[:1000]), (users[1000:], wanted[1000:])
test = ({numbered}, test[1])
table = nn.Embedding(60, 1)
optimizer = torch.optim.Adam(table.parameters(), lr=0.05)
for epoch in range(8):
    for rows in torch.randperm(1000).split(50):
        loss = nn.functional.mse_loss(table(train[0][rows]).squeeze(1), train[1][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    for ids, targets in (train, test):
        print("mse", nn.functional.mse_loss(table(ids).squeeze(1), targets).item())
"""


@pytest.mark.parametrize(("numbered", "told"), [("torch.randperm(60)[test[0]]", True), ("test[0]", False)])
def test_ids_that_are_numbered_anew_are_told_beside_the_training_rows(
    numbered: str, told: bool, record: Record
) -> None:
    reading = same_ids.ask(Recorded(record(SCRIPT.format(numbered=numbered))))
    assert reading.rows == 500 and bool(reading.statements) is told
