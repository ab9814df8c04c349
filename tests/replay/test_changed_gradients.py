"""A script that changes its gradients itself takes other steps than a replay would."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import reach
from unstuck.micro.step import Recorded
from unstuck.replay.bench import Bench
from unstuck.signals.changed_gradients import changed

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, 0] > x[:, 1]).long()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(4):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        for part in rows.split(10):
            loss = nn.functional.cross_entropy(model(x[part]), y[part], reduction="{reduction}")
            {loss}.backward()
        {change}
        optimizer.step()
"""
DIVIDED = "for p in model.parameters(): p.grad.div_(40)"


def test_gradients_that_are_divided_before_the_step_are_not_replayed(record: Record) -> None:
    tape = record(SCRIPT.format(reduction="sum", loss="loss", change=DIVIDED))
    assert "changes its gradients before the step" in changed(tape)
    assert "changes its gradients" in Bench(tape).why
    with pytest.raises(NotApplicable, match="changes its gradients"):
        reach.ask(Recorded(tape))


@pytest.mark.parametrize(
    ("loss", "change"),
    [("(loss / 4)", "pass"), ("loss", "pass"), ("loss", "nn.utils.clip_grad_norm_(model.parameters(), 0.01)"),
     ("loss", "for p in model.parameters(): p.grad.add_(1e-4 * p.data)")],
)  # fmt: skip
def test_other_gradients_are(loss: str, change: str, record: Record) -> None:
    tape = record(SCRIPT.format(reduction="mean", loss=loss, change=change))
    assert changed(tape) == "" and Bench(tape).why == ""
