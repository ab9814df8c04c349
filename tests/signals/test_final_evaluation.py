"""The answers of the last evaluation are found where another line calls the same network."""

from __future__ import annotations

from tests.recorded import Record
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
