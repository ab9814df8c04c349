"""Outputs that order two classes while every answer is the larger one's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.recorded import Record
from unstuck.diagnosis.conclude import learning
from unstuck.diagnosis.experiment import Headroom, Run
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.whole_runs import run_of
from unstuck.signals.ranking import ranked

NOISY = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(3000, 6)
y = (torch.rand(3000) < torch.sigmoid({signal} * x[:, 0] - 1.5)).float()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, {outputs}))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(6):
    for rows in torch.randperm(3000).split(50):
        loss = {loss}
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
LOSSES = {
    1: "nn.functional.binary_cross_entropy_with_logits(model(x[rows]).squeeze(1), y[rows])",
    2: "nn.functional.cross_entropy(model(x[rows]), y[rows].long())",
}
NOTHING = Headroom("accuracy", 0.8, 0.8, "a scaled linear map", (0.79, 0.81), (-0.01, 0.01), 0.8)
MUCH = Headroom("accuracy", 0.8, 0.97, "a scaled linear map", (0.96, 0.98), (0.7, 0.9), 0.8)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=2, max_size=40))
def test_the_area_is_that_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    outputs, classes = (torch.tensor(part, dtype=torch.float64) for part in zip(*rows, strict=True))
    found = ranked(outputs, classes)
    if len(classes.unique()) < 2:
        assert found is None
    else:
        assert found is not None
        assert found.area == pytest.approx(roc_auc_score(classes, outputs))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize(("signal", "orders"), [(0.6, True), (0.0, False)])
def test_noisy_rows_of_a_rare_class_are_ordered(record: Record, outputs: int, signal: float, orders: bool) -> None:
    run = run_of(record(NOISY.format(signal=signal, outputs=outputs, loss=LOSSES[outputs])))
    assert run.skill is not None and run.skill < 0.1
    assert (run.ranks is not None) == orders


def test_a_run_that_orders_its_rows_learns_where_no_answer_beats_the_constant() -> None:
    run = Run(skill=0.01, curve=(0.01,) * 24, score=0.8, passes=400, task="binary", ranks=0.7)
    assert (state_of(run, NOTHING), learning("unknown", run)) == ("unknown", True)
    assert state_of(run, MUCH) == state_of(run) == "does-not-learn"
