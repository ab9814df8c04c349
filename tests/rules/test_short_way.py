"""Weights that end where they began: a rate that is too low, seen without a sweep."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import reach
from unstuck.micro.step import Recorded
from unstuck.rules import lr_too_low
from unstuck.signals.learning import Learning
from unstuck.signals.rates import Rates

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 8)
y = {target}
model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 4))
{before}
optimizer = torch.optim.{made}
schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: {schedule})
for epoch in range(10):
    for rows in torch.randperm(400).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
"""
CLASSES, NOISE = "x[:, :4].argmax(1)", "torch.randint(0, 4, (400,))"
LOW = "SGD(model.parameters(), lr=3e-5)"
LEARNT = """
with torch.no_grad():
    for layer, size in ((model[0], 1.0), (model[2], 9.0)):
        layer.weight.zero_()[:4, :4] = size * torch.eye(4)
"""


@pytest.mark.parametrize(("target", "before", "made", "schedule", "known"), [
    (CLASSES, "", LOW, "1.0", ["observed"]),
    (CLASSES, "", "Adam(model.parameters(), lr=1e-6)", "1.0", ["observed"]),
    (CLASSES, "", "SGD(model.parameters(), lr=0.5)", "1.0", []),
    (NOISE, "", "Adam(model.parameters(), lr=1e-3)", "1.0", []),
    (CLASSES, "", "SGD(model.parameters(), lr=0.5)", "1e-4 if step else 1e-3", []),
    (CLASSES, LEARNT, LOW, "1.0", []),
], ids=["low", "low with adam", "learns", "noise", "a schedule", "fine-tuning"])  # fmt: skip
def test_a_run_that_moves_no_weight_has_too_low_a_rate(
    record: Record, target: str, before: str, made: str, schedule: str, known: list[str]
) -> None:
    tape = record(SCRIPT.format(target=target, before=before, made=made, schedule=schedule))
    looked = reach.ask(Recorded(tape))
    found = list(lr_too_low.check(tape, None, Learning.read(tape), Rates.read(tape), looked))
    assert [f.known for f in found] == known
    assert all(f.remedies and f.remedies[0].factor >= 10 for f in found)
    assert (looked.farthest < lr_too_low.NEAR) == bool(known or schedule != "1.0" or before)
