"""Rows of data as they enter the recorded programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import Findings, Record, tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.relation import Relation
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


CODED = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.rand(400, 1, 6, 6) * (torch.rand(6, 6) > 0.5)
x[..., 0, 0] = {corner}
model = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 36), nn.Unflatten(1, (1, 6, 6)))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(4):
    for rows in torch.randperm(400).split(25):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[rows]), {target})
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize("corner", [0, 1])
def test_of_many_targets_the_one_that_varies_most_is_asked(corner: int, record: Record, findings: Findings) -> None:
    tape = record(CODED.format(corner=corner, target="x[rows].clone()"))
    assert Samples.read(tape).targets.std() > 0.2
    assert Relation.read(tape).strength > 10
    assert findings(tape, "label-misaligned") == []


def test_labels_of_other_rows_are_still_unrelated(record: Record, findings: Findings) -> None:
    tape = record(CODED.format(corner=0, target="x[(rows + 7) % 400].clone()"))
    assert [f.fault for f in findings(tape, "label-misaligned")] == ["label-misaligned"]


def test_a_target_that_never_varies_belongs_to_no_row(record: Record) -> None:
    with pytest.raises(NotApplicable):
        Samples.read(record(CODED.format(corner=0, target="torch.full((25, 1, 6, 6), 0.5)")))


WORDS = """
import torch
from torch import nn

torch.manual_seed(0)
lengths = torch.randint(3, 13, (1500,))
words = torch.randint(2, 40, (1500, 12))
y = words[:, :3].sum(1) % 3
words = {seen}
words = words * (torch.arange(12) < lengths[:, None])
table, layer = nn.Embedding(40, 8, padding_idx=0), nn.Linear(8, 3)
optimizer = torch.optim.Adam([*table.parameters(), *layer.parameters()], lr=0.01)
for rows in torch.randperm(1500).split(50):
    loss = nn.functional.cross_entropy(layer(table(words[rows]).mean(1)), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("seen", "empty"), [("torch.ones_like(words)", True), ("words", False)])
def test_rows_that_differ_in_what_says_nothing_are_empty(seen: str, empty: bool, findings: Findings) -> None:
    found = findings(WORDS.format(seen=seen), "input-degenerate")
    assert [f.effect.word for f in found] == ["proven"] * empty


def test_rows_that_come_back_with_their_targets_are_not_empty(findings: Findings) -> None:
    again = WORDS.replace("for rows in", "for rows in torch.arange(200).repeat(6).split(50) or")
    assert findings(again.format(seen="words"), "input-degenerate") == []


HEADS = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 4)
y, z = (x[:, 0] > 0).long(), (x[:, 1] > 0).long()
one, other = nn.Linear(4, 2), nn.Linear(4, 2)
optimizer = torch.optim.Adam([*one.parameters(), *other.parameters()], lr=0.02)
for epoch in range(4):
    for rows in torch.randperm(300).split(30):
        loss = nn.functional.cross_entropy(one(x[rows]), y[rows])
        loss = loss + nn.functional.cross_entropy(other(x[rows] * 2), {second}[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize("second", ["y", "z"])
def test_a_target_of_a_second_head_is_no_input(second: str, tmp_path: Path) -> None:
    samples = Samples.read(tape_of(HEADS.format(second=second), tmp_path))
    assert all(part.shape[1] == 4 for part in samples.parts)
