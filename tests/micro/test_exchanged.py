"""Targets whose numbers were exchanged in a part of the training rows; other differences are left alone."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import exchanged
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 6)
y = {targets}
model = nn.Linear(6, y.shape[1])
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for rows in torch.randperm(500).split(25):
    loss = nn.functional.mse_loss(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    print("error", (model(x[500:]) - y[500:]).abs().mean().item())
"""
EYES = "torch.stack([-1 + 0.1 * x[:, 0], 1 + 0.1 * x[:, 1], x[:, 2]], 1)"
RISING = "torch.cat([x[:500, :2], torch.stack([x[500:, 0], x[500:, 0] + 1], 1)])"


def test_numbers_that_change_places_in_some_training_rows_are_told(record: Record) -> None:
    targets = f"torch.cat([{EYES}[:150][:, [1, 0, 2]], {EYES}[150:]])"
    found = exchanged.ask(Recorded(record(SCRIPT.format(targets=targets))))
    assert found.numbers_of == (0, 1) and found.share == pytest.approx(0.3)
    assert [s.site.line for s in found.statements if s.site] == [11]


@pytest.mark.parametrize("targets", [EYES, "x[:, :3]", RISING], ids=["one order", "no order", "a trend"])
def test_other_targets_are_not(targets: str, record: Record) -> None:
    assert not exchanged.ask(Recorded(record(SCRIPT.format(targets=targets)))).statements


def test_one_number_for_a_row_has_no_order(record: Record) -> None:
    with pytest.raises(NotApplicable):
        exchanged.ask(Recorded(record(SCRIPT.format(targets="x[:, :1]"))))
