"""Rows that enter a network all alike, where rows and targets are not known one by one."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding
from unstuck.micro.dependence import Dependence, ask
from unstuck.micro.step import Recorded
from unstuck.rules.catalogue import catalogue

FAULT = "input-degenerate"
TIME_FIRST = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(12, 40, 5)
y = (x[:3, :, 0].sum(0) > 0).long()
rnn, fc = nn.LSTM(5, 16), nn.Linear(16, 2)
optimizer = torch.optim.Adam([*rnn.parameters(), *fc.parameters()], lr=0.01)
for epoch in range(20):
    optimizer.zero_grad()
    out, _ = rnn({rows})
    loss = nn.functional.cross_entropy(fc({hidden}), y)
    loss.backward()
    optimizer.step()
"""


def found(record: Record, rows: str, hidden: str) -> tuple[Dependence, list[Finding]]:
    tape = record(TIME_FIRST.format(rows=rows, hidden=hidden))
    readings, read = Readings(tape), ask(Recorded(tape))
    readings.give(read)
    return read, examine(readings, {FAULT: catalogue()[FAULT]})[0]


def test_equal_rows_of_a_sequence_are_a_proven_cause(record: Record) -> None:
    read, (finding,) = found(record, "x * 0", "out[-1]")
    assert read.alike
    assert (finding.effect.word, finding.site and finding.site.line) == ("proven", 12)


@pytest.mark.parametrize(("rows", "hidden"), [("x", "out[-1]"), ("x", "out[-1] * 0")])
def test_rows_that_differ_as_they_enter_are_no_fault_of_the_data(record: Record, rows: str, hidden: str) -> None:
    read, findings = found(record, rows, hidden)
    assert not read.alike
    assert findings == []
    if "0" in hidden:
        (statement,) = read.statements
        assert "mul() makes the rows equal" in statement.what
        assert statement.site is not None and statement.site.line == 13
