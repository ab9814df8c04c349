"""Assignments to a copy that is thrown away are found; those that change what somebody holds are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.micro import never_used
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(80, 6), torch.randint(0, 2, (80,))
model = nn.Linear(6, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
table, parts, rows = torch.randn(20, 30), [torch.zeros(4), torch.zeros(4)], torch.tensor([3, 5])
for batch in torch.arange(80).split(20):
    loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    scores = model(x)
    {line}
"""


@pytest.mark.parametrize(
    "line",
    [
        "scores[rows][0] = 0.0",
        "table[rows][:, 2] = float('-inf')",
        "table[[1, 2]][0] += 1",
        "table[table > 0][0] = 0",
        "table[2, rows][0] = 1",
    ],
)
def test_an_assignment_to_a_copy_is_told_at_its_line(tmp_path: Path, line: str) -> None:
    tape = tape_of(SCRIPT.format(line=line), tmp_path)
    (told,) = never_used.ask(Recorded(tape)).statements
    assert told.site is not None and told.site.line == 17
    assert "is lost (1 times)" in told.what and "is a copy" in told.what


@pytest.mark.parametrize(
    "line",
    [
        "scores[rows] = 0.0",
        "scores[rows, 0] = 0.0",
        "table[2][rows] = 0.0",
        "table[1:5][:, 2] = 0.0",
        "table[2:3][0] += 1",
        "part = table[rows]; part[0] = 0.0; print(part)",
        "parts[0][1] = 1.0",
        "parts[1][:2][rows > 4] = 1.0",
        "table.T[rows[0]][3] = 0.0",
        "table.numpy()[[1, 2]][0] = 3",
        "table.diagonal()[rows] = 0",
    ],
)
def test_an_assignment_to_what_somebody_holds_is_not(tmp_path: Path, line: str) -> None:
    tape = tape_of(SCRIPT.format(line=line), tmp_path)
    assert not [told for told in never_used.ask(Recorded(tape)).statements if "is lost" in told.what]
