"""The arithmetic that a batch went through is on the tape, by line, with its numbers before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import Findings, tape_of
from tests.scripts import edited, run
from unstuck.signals.prepared import flattened, scaled
from unstuck.tape.model import Tape

SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x = torch.rand(400, 6)
y = (x[:, 0] > 0.5).long()
{before}
model = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(6):
    for rows, targets in DataLoader(TensorDataset(x, y), 40, shuffle=True):
        loss = nn.functional.cross_entropy(model({rows}), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""


def text(before: str = "pass", rows: str = "rows") -> str:
    return SCRIPT.format(before=before, rows=rows)


def line(script: str, tape: Tape) -> str:
    site = scaled(tape, 0, 0)
    return script.splitlines()[site.line - 1].strip() if site is not None else ""


@pytest.mark.parametrize(
    ("before", "rows", "expected"),
    [
        ("x = x * 255", "rows", "x = x * 255"),
        ("x = 255 * x", "rows.float().view(-1, 6)", "x = 255 * x"),
        ("x = x + 1000.0", "rows", "x = x + 1000.0"),
        ("x = x / 255", "rows", "x = x / 255"),
        ("pass", "rows * 255", "loss = nn.functional.cross_entropy(model(rows * 255), targets)"),
        ("x = x * 2 - 1", "rows", ""),
        ("pass", "rows", ""),
    ],
)
def test_the_line_that_scaled_an_input_is_known(tmp_path: Path, before: str, rows: str, expected: str) -> None:
    script = text(before, rows)
    tape = tape_of(script, tmp_path)
    assert line(script, tape) == expected
    assert flattened(tape) is None


def test_the_range_before_and_after_is_kept(tmp_path: Path) -> None:
    (made,) = tape_of(text("x = x * 255"), tmp_path).facts.prepared
    assert made.name == "mul" and 0 <= made.before[0] < made.before[1] <= 1
    assert made.after == pytest.approx((255 * made.before[0], 255 * made.before[1]))


def test_units_are_told_where_they_were_made(tmp_path: Path, findings: Findings) -> None:
    script = text("x = x * 255")
    (finding,) = findings(tape_of(script, tmp_path), "input-scale")
    assert finding.site is not None and script.splitlines()[finding.site.line - 1] == "x = x * 255"


def test_a_calculation_that_destroys_its_input_is_left_out(tmp_path: Path, findings: Findings) -> None:
    script = text(rows="(rows) * 0")
    (finding,) = findings(tape_of(script, tmp_path), "input-degenerate")
    new = edited(finding.remedies[0], script)
    assert "model(rows)" in new or "model((rows))" in new
    assert findings(tape_of(new, tmp_path), "input-degenerate") == []
    run(new)
