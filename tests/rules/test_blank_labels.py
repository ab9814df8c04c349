"""Labels of a CTC loss that are its blank."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

FAULT = "label-range"
SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(60, 12, 4), torch.randint({first}, {first} + 5, (60, 4))
lengths = torch.randint(2, 5, (60,))
y[torch.arange(4)[None] >= lengths[:, None]] = 0
model, criterion = nn.Linear(4, 6), nn.CTCLoss({options})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for rows in torch.arange(60).split(10):
    out = model(x[rows]).log_softmax(2).transpose(0, 1)
    loss = criterion(out, y[rows], torch.full((10,), 12), lengths[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("first", "options"), [(0, ""), (1, "blank=3")])
def test_labels_that_are_the_blank_are_a_fact(first: int, options: str, findings: Findings) -> None:
    (found,) = findings(SCRIPT.format(first=first, options=options), FAULT)
    assert found.certain and "its blank" in found.message


@pytest.mark.parametrize(("first", "options"), [(1, ""), (0, "blank=5")])
def test_a_blank_of_its_own_is_not_reported_whatever_fills_the_rows(
    first: int, options: str, findings: Findings
) -> None:
    assert not findings(SCRIPT.format(first=first, options=options), FAULT)
