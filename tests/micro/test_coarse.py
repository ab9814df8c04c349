"""Numbers that float32 rounds to few different ones are told where data are computed of them."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import coarse
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
late = 1_700_000_000 + torch.arange(320.0, dtype=torch.float64) * 20
for step in range(8):
    rows = torch.randint(0, 320, (40,))
    column = {column}
    nothing = torch.zeros(40, 0) + 1
    x = torch.stack([column, torch.randn(40), torch.randn(40)], 1)
    x = (x - x.mean(0)) / (x.std(0) + 1e-6)
    loss = model(x.float()).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize("column", ["late[rows].float()", "late.float()[rows].double()", "-late[rows].float()"])
def test_times_that_were_made_single_precision_are_told(column: str, record: Record) -> None:
    (told,) = coarse.ask(Recorded(record(SCRIPT.format(column=column)))).statements
    assert "multiples of 128" in told.what
    assert told.site is not None and told.site.line in (11, 14)


VISITS = "(1.6e12 + 3e9 * torch.rand(40, 1).double() + torch.rand(40, 6).cumsum(1).double() * 3e4)"
GAPS = [
    "(v := {v}.float())[:, 1] - v[:, 0]",
    "((v := {v}.float())[:, 1:] - v[:, :1])[:, -1]",
    "{v}.float().diff(dim=1)[:, 0]",
]


@pytest.mark.parametrize(("column", "told"), [*((gap, True) for gap in GAPS), ("(v := {v})[:, 1] - v[:, 0]", False)])
def test_small_differences_of_times_that_are_far_apart_are_told(column: str, told: bool, record: Record) -> None:
    text = SCRIPT.format(column=column.format(v=VISITS))
    found = coarse.ask(Recorded(record(text))).statements
    assert bool(found) is told
    assert all("multiples of 131072" in one.what for one in found)


@pytest.mark.parametrize(
    "column",
    [
        "late[rows]",
        "(late[rows] - late[0]).float()",
        "torch.full((40,), 1.7e9)",
        "torch.randint(0, 2**24, (40,)).float()",
        "1e9 * torch.randn(40)",
        "92 + torch.randn(40)",
        "torch.where(torch.rand(40) > 0.5, 1.0, float('inf'))",
        "torch.where(torch.rand(40) > 0.5, 1.0, float('nan'))",
    ],
)
def test_numbers_that_keep_their_differences_are_not(column: str, record: Record) -> None:
    tape = record(SCRIPT.format(column=column))
    assert not coarse.ask(Recorded(tape)).statements
    assert not tape.notes
