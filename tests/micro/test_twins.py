"""Two inputs that are one array are told; one expression given to two networks, and masks, are not."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import twins
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(600, 6), torch.randn(600, 1)
one, other = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1)), nn.Linear(6, 1)
optimizer = torch.optim.Adam([*one.parameters(), *other.parameters()], lr=0.01)
for step in range(60):
    rows = torch.randint(0, 600, (20,))
    now, later = x[rows], {later}
    loss = (one({first}) + other({second}) - y[rows]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    ("later", "first", "second", "told"),
    [
        ("x[rows]", "now", "later", True),
        ("x[rows] + 1", "now", "later", False),
        ("None", "x[rows]", "x[rows]", False),
    ],
    ids=["one array under two names", "they differ", "one expression"],
)
def test_two_inputs_that_always_hold_the_same(record: Record, later: str, first: str, second: str, told: bool) -> None:
    text = SCRIPT.format(later=later, first=first, second=second)
    assert bool(twins.ask(Recorded(record(text))).statements) is told


def test_masks_are_no_inputs(record: Record) -> None:
    mask = "(x[rows] > 0).float()"
    with pytest.raises(NotApplicable, match="fewer than two inputs"):
        twins.ask(Recorded(record(SCRIPT.format(later=mask, first=mask, second="later"))))
