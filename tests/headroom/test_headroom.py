"""What simple learners reach on recorded rows: beside the run, beside shuffled targets, and where nothing is known."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.diagnosis.roles import state_of
from unstuck.diagnosis.whole_runs import run_of
from unstuck.headroom.measure import measured

LOOP = """
import torch
from torch import nn
torch.manual_seed(0)
{data}
optimizer = torch.optim.Adam(model.parameters(), lr={rate})
for epoch in range({epochs}):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.{loss}
        loss.backward()
        optimizer.step()
{after}
"""
TABLE = """
x = torch.randn(600, 6)
y = ({rule}).long()
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
"""
ENTROPY = "cross_entropy(model(x[rows]), y[rows])"
ASKED = "with torch.no_grad():\n    print((model(x[400:]).argmax(1) == y[400:]).float().mean())"
NAMES = """
n = torch.randint(0, 16, (600, 2))
left, right = torch.randn(16, 2), torch.randn(16, 2)
y = (left[n[:, 0]] * right[n[:, 1]]).sum(1)
a, b = nn.Embedding(16, 1), nn.Embedding(16, 1)
model = nn.ModuleList([a, b])
"""


def script(rule: str, rate: float = 1e-7, epochs: int = 5, after: str = "") -> str:
    return LOOP.format(data=TABLE.format(rule=rule), rate=rate, epochs=epochs, loss=ENTROPY, after=after)


def test_a_linear_task_is_found_to_be_learnable_and_its_shuffled_targets_are_not(record: Record) -> None:
    tape = record(script("x[:, 0] + x[:, 1] > 0"))
    found = measured(tape, run_of(tape).score)
    assert found.interval[0] <= found.baseline <= found.interval[1]
    assert found.baseline > 0.9 and found.control is not None and found.control < 0.65
    assert found.gain[0] > 0.3 and not found.held
    assert state_of(run_of(tape), found) in ("does-not-learn", "below-headroom")


def test_labels_drawn_at_random_leave_nothing_to_learn(record: Record) -> None:
    tape = record(script("torch.rand(600) > 0.5"))
    found = measured(tape, run_of(tape).score)
    assert found.gain[0] < 0.1 and found.baseline < 0.6


def test_both_answer_the_rows_of_the_scripts_own_evaluation_if_it_makes_one(record: Record) -> None:
    tape = record(script("x[:, 0] * x[:, 1] > 0", 2e-2, 15, ASKED))
    found = measured(tape, run_of(tape).score)
    assert found.held and found.rows == 200
    assert found.run > 0.8 and found.gain[0] < 0.15


def test_products_of_names_are_learnt(record: Record) -> None:
    loss = "mse_loss((a(n[rows, 0]) * b(n[rows, 1])).sum(1), y[rows])"
    tape = record(LOOP.format(data=NAMES, rate=1e-2, epochs=10, loss=loss, after=""))
    found = measured(tape, run_of(tape).score)
    assert found.baseline > 0.5 and found.gain[0] > 0.3


def test_nothing_is_said_where_targets_are_not_known(record: Record) -> None:
    loss = "relu(model(x[rows])).mean()"
    tape = record(LOOP.format(data=TABLE.format(rule="x[:, 0] > 0"), rate=1e-2, epochs=5, loss=loss, after=""))
    with pytest.raises(NotApplicable):
        measured(tape, None)
