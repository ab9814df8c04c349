"""Rows of data as they enter the recorded programs."""

from __future__ import annotations

from pathlib import Path

from tests.recorded import tape_of
from unstuck.signals.samples import Samples

NORMALISED = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(900, 4)
y = (x[:, 0] ** 2 + x[:, 1] ** 2 > 1.4).long()
model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(15):
    model.eval(), model(x[:90]), model.train()
    for rows in torch.randperm(900).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""
TOWERS = """
import torch
from torch import nn

torch.manual_seed(0)
who, what = torch.randint(0, 20, (600,)), torch.randint(0, 30, (600,))
y = (torch.randn(20)[who] * torch.randn(30)[what] > 0).float()
{labels}
users, things = nn.Embedding(20, 8), nn.Embedding(30, 8)
optimizer = torch.optim.Adam([*users.parameters(), *things.parameters()], lr=0.03)
for epoch in range(20):
    for rows in torch.randperm(600).split(30):
        out = (users(who[rows]) * things(what[rows])).sum(1)
        loss = nn.functional.binary_cross_entropy_with_logits(out, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


def test_running_statistics_are_no_part_of_the_rows(tmp_path: Path) -> None:
    assert Samples.read(tape_of(NORMALISED, tmp_path)).distinct == 900


def test_rows_of_two_looked_up_numbers(tmp_path: Path) -> None:
    rows = Samples.read(tape_of(TOWERS.format(labels=""), tmp_path))
    assert rows.looked_up == (True, True)
    assert rows.distinct > 300
    assert rows.ceiling == 1.0
