"""Lanes asked about held-out rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.exam import Exam
from unstuck.diagnosis.model import NotApplicable
from unstuck.remedies.redraw_weights import RedrawWeights
from unstuck.replay.bench import Bench

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 2))
with torch.no_grad():
    model[0].weight.mul_(50)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(30):
    for rows in torch.randperm(240).split(40):
        loss = nn.functional.cross_entropy(model(x[:240][rows]), y[:240][rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
ASKED = """
with torch.no_grad():
    print('accuracy', (model(x[240:]).argmax(1) == y[240:]).float().mean().item())
"""


def test_a_network_that_knows_its_rows_by_heart_knows_more_of_others_with_smaller_first_weights(tmp_path: Path) -> None:
    bench = Bench(tape_of(SCRIPT + ASKED, tmp_path))
    exam = Exam.of(bench)
    assert exam.steps == 180 and len(exam.questions) == 4
    assert float(bench.written.skill().median()) > 0.6
    written, redrawn = exam.skills(), exam.skills((RedrawWeights((bench.tape.parameters[0].name,), False),))
    assert len(written) == len(redrawn) == bench.lanes
    assert sorted(redrawn)[4] > sorted(written)[4] + 0.2


def test_without_an_evaluation_there_is_nothing_to_ask(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="not trained on"):
        Exam.of(Bench(tape_of(SCRIPT, tmp_path)))
