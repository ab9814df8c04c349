"""Targets of an evaluation in the units of a report are read in those of the training."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import Findings, Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import FinalEvaluation, in_units

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(500, 6)
price = 2e5 + 5e4 * (x[:, :3].sum(1, keepdim=True) + 0.1 * torch.randn(500, 1))
mean, spread = price[:400].mean().item(), price[:400].std().item()
y = (price - mean) / spread
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(400).split(20):
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    told = {told}
    off = ((told - price[400:]) ** 2).sum() / ((price[400:] - price[400:].mean()) ** 2).sum()
print("r2", 1 - off.item())
"""


@pytest.mark.parametrize(
    "told",
    [
        "model(x[400:]) * spread + mean",
        "(model(x[400:]) + mean / spread).mul(spread)",
        "(model(x[400:])[:, 0] * spread + mean).unsqueeze(1)",
        "model(x[400:]).squeeze(1)[:, None] * spread + mean",
    ],
)
def test_a_score_in_other_units_is_the_one_of_the_training(told: str, record: Record, findings: Findings) -> None:
    tape = record(SCRIPT.replace("{told}", told))
    assert FinalEvaluation.read(tape).skill > 0.9
    assert not findings(tape, "overfitting")


def test_an_output_and_a_target_that_are_both_transformed_are_not_compared(record: Record) -> None:
    told = "price[:400].new_zeros(1) + (model(x[400:]) + 3).exp()"
    text = SCRIPT.replace("{told}", told).replace("told - price[400:]) ** 2", "told - (price[400:] / 1e5).exp()) ** 2")
    with pytest.raises(NotApplicable):
        FinalEvaluation.read(record(text))


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_a_line_is_undone_column_by_column(start: float, slope: float, seed: int) -> None:
    torch.manual_seed(seed)
    output, wanted = torch.randn(9, 2, dtype=torch.float64), torch.randn(9, 2, dtype=torch.float64)
    line = torch.tensor([slope, -slope])
    found = in_units(wanted * line + start, output, output * line + start)
    assert found is not None
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-3)


def test_what_is_no_line_is_not_known() -> None:
    output = torch.linspace(-2, 2, 20)[:, None]
    assert in_units(output, output, output.exp()) is None
    assert in_units(output, torch.ones_like(output), output) is None
