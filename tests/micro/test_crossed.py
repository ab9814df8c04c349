"""Reductions of data that lie along another axis."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import crossed
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(8, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(8):
    x = torch.rand({rows}, 8)
    x = {line}
    loss = model(x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize("line", ["x - x.mean(1)", "x / x.amax(dim=-1)", "x.std(1) * x", "x - x.max(1)[0]"])
def test_a_reduction_along_another_axis_is_told_at_its_line(line: str, record: Record) -> None:
    (told,) = crossed.ask(Recorded(record(SCRIPT.format(rows=8, line=line)))).statements
    assert told.site is not None and told.site.line == 10 and "axis 1" in told.what


@pytest.mark.parametrize("line", [
    "x - x.mean(0)", "x - x.mean(1, keepdim=True)", "(x @ x.T) - (x @ x.T).mean(1)", "x - x[0].mean()",
    "x - x.mean(1).unsqueeze(1)", "(x.T / x.sum(1)).T",
    "(x + x.T) - (x + x.T).mean(1, keepdim=True) - (x + x.T).mean(1)",
    "(k := x + x.T) - k.mean(1)", "x.square().sum(1)[:, None] - 2 * x @ x.T + x.square().sum(1)",
])  # fmt: skip
def test_reductions_in_their_place_are_healthy(line: str, record: Record) -> None:
    assert crossed.ask(Recorded(record(SCRIPT.format(rows=8, line=line)))).statements == ()
