"""The answers of the last evaluation are found, and the targets that they are compared with."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import FinalEvaluation

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 6)
y = (x[:, 0] > x[:, 1]).long()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(16, 16)

    def forward(self, x):
        return torch.relu(x + self.inner(x))


model = nn.Sequential(nn.Linear(6, 16), Block(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(6):
    for rows in torch.randperm(200).split(20):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("accuracy", (model(x[200:]).argmax(1) == y[200:]).float().mean().item())
"""


def test_layers_of_a_sequential_are_found_behind_those_with_lines_of_their_own(record: Record) -> None:
    tape = record(SCRIPT)
    (printed,) = (float(said.line.split()[1]) for said in tape.said)
    assert abs(FinalEvaluation.read(tape).score - printed) < 1e-6


JOINED = """
import torch
from torch import nn

torch.manual_seed(0)
ids, x = torch.randint(0, 6, (300,)), torch.randn(300, 2)
y = ids.float() / 3 + x[:, 0]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = nn.Embedding(6, 4), nn.Linear(6, 1)

    def forward(self, ids, x):
        return self.layer(torch.cat([self.table(ids), x], 1)).squeeze(1)


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(6):
    for rows in torch.randperm(200).split(20):
        loss = nn.functional.mse_loss(model(ids[rows], x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    answer, wanted = model(ids[200:], x[200:]), y[200:]
    print("r2", (1 - ((answer - wanted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum()).item())
"""


def test_what_is_joined_on_the_way_to_the_answer_is_no_target(record: Record) -> None:
    tape = record(JOINED)
    (printed,) = (float(said.line.split()[1]) for said in tape.said)
    assert abs(FinalEvaluation.read(tape).score - printed) < 0.01


@pytest.mark.parametrize("pair", ["y[200:] * 2 + found", "found + 2 * y[200:]", "torch.add(found, y[200:], alpha=2)"])
def test_targets_that_number_the_rows_of_a_confusion_matrix_are_classes(pair: str, record: Record) -> None:
    body = f"""
    found = model(x[200:]).argmax(1)
    matrix = torch.bincount({pair}, minlength=4).view(2, 2)
    print("accuracy", (matrix.diag().sum() / matrix.sum()).item())
"""
    tape = record(SCRIPT[: SCRIPT.index("    print(")].rstrip() + body)
    (printed,) = (float(said.line.split()[1]) for said in tape.said)
    assert abs(FinalEvaluation.read(tape).score - printed) < 1e-6


@pytest.mark.parametrize("shaped", ["model(ids[rows], x[rows])", "model(ids[rows], x[rows]).unsqueeze(1).flatten()"])
def test_answers_of_several_batches_are_scored_together(shaped: str, record: Record) -> None:
    body = f"""
    answers = [{shaped} for rows in torch.arange(200, 270).split(30)]
    answer, wanted = torch.cat(answers), torch.cat([y[rows] for rows in torch.arange(200, 270).split(30)])
    print("r2", (1 - ((answer - wanted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum()).item())
"""
    tape = record(JOINED[: JOINED.index("    answer, wanted")].rstrip() + body)
    (printed,) = (float(said.line.split()[1]) for said in tape.said)
    assert abs(FinalEvaluation.read(tape).score - printed) < 0.01


def test_choices_of_the_batches_before_are_no_targets(record: Record) -> None:
    body = """
    found = torch.cat([model(x[rows]).argmax(1) for rows in torch.arange(200, 270).split(30)])
    print("accuracy", (found == y[200:260]).float().mean().item())
"""
    tape = record(SCRIPT[: SCRIPT.index("    print(")].rstrip() + body)
    with pytest.raises(NotApplicable):
        FinalEvaluation.read(tape)
