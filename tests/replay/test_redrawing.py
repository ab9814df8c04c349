"""Experiments on the recorded rows: in other batches, in halves, and fewer of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.comparison import compare, suspects
from unstuck.diagnosis.examine import Readings, examine
from unstuck.replay.bench import Bench, rates_around
from unstuck.replay.halves import Halves
from unstuck.replay.mixed import Mixed
from unstuck.replay.thinned import thinned
from unstuck.rules.catalogue import catalogue
from unstuck.signals.relation import Relation
from unstuck.signals.samples import Samples

RULES = catalogue()
ORDERED = """
import torch
from torch import nn

torch.manual_seed(0)
y = torch.arange(5).repeat_interleave(120)
x = (1.5 * torch.randn(5, 6))[y] + torch.randn(600, 6)
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 5))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
for epoch in range(5):
    for rows in torch.{numbers}(600).split(10):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""
MASKED = """
import torch
from torch import nn

torch.manual_seed(0)
words = torch.randint(1, 30, (500, 8)) * (torch.rand(500, 8) > 0.3)
mood = torch.randn(30)
y = ((mood[words] * (words > 0)).sum(1) > 0).float()
{labels}
embedding, out = nn.Embedding(30, 24, padding_idx=0), nn.Linear(24, 1)
optimizer = torch.optim.Adam([*embedding.parameters(), *out.parameters()], lr=0.05)
for epoch in range(25):
    for rows in torch.randperm(500).split(50):
        entered = words[rows]
        mask = (entered > 0).unsqueeze(-1).float()
        h = (embedding(entered) * mask).sum(1) / mask.sum(1).clamp(min=1)
        loss = nn.functional.binary_cross_entropy_with_logits(out(torch.tanh(3 * h)).squeeze(1), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""
HEAVY = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(480, 1, 12, 12, dtype=torch.float64)
y = (x[:, 0, :6].mean((1, 2)) > x[:, 0, 6:].mean((1, 2))).long()
model = nn.Sequential(nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(768, 2))
model = model.double()
optimizer = torch.optim.Adam(model.parameters(), lr={rate})
for step in range(45):
    rows = torch.randint(0, 480, (160,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows], reduction="{reduction}")
    loss.backward()
    optimizer.step()
"""


def test_rows_in_order_and_in_random_order(tmp_path: Path) -> None:
    mixed = Mixed.read(tape_of(ORDERED.format(numbers="arange"), tmp_path))
    assert mixed.in_random_order > mixed.as_written + 0.15
    drawn = Mixed.read(tape_of(ORDERED.format(numbers="randperm"), tmp_path))
    assert abs(drawn.in_random_order - drawn.as_written) < 0.1


@pytest.mark.parametrize(("numbers", "said"), [("arange", 1), ("randperm", 0)])
def test_an_order_is_shown_by_experiment(tmp_path: Path, numbers: str, said: int) -> None:
    findings, _ = examine(
        Readings(tape_of(ORDERED.format(numbers=numbers), tmp_path)), {"not-shuffled": RULES["not-shuffled"]}
    )
    assert len(findings) == said
    assert all(f.demonstrated and f.remedies[0].name == "draw-order" for f in findings)


def test_rows_that_enter_with_a_mask(tmp_path: Path) -> None:
    strangers = tape_of(MASKED.format(labels="y = y[torch.randperm(500)]"), tmp_path)
    halves = Halves.read(strangers)
    assert halves.seen > 0.1 > halves.unseen
    assert Relation.read(strangers).strength < 3
    kin = tape_of(MASKED.format(labels=""), tmp_path)
    assert Halves.read(kin).unseen > 0.2
    assert Relation.read(kin).strength > 5


def test_heavy_steps_are_replayed_with_fewer_rows(tmp_path: Path) -> None:
    tape = tape_of(HEAVY.format(rate=1e-7, reduction="mean"), tmp_path)
    bench = Bench(tape, seconds=0.4)
    assert bench.every > 1
    assert not bench.why
    sweep = bench.sweep()
    assert sweep.at(1.0) < 0.3 < max(sweep.skills)
    findings, _ = examine(_given(tape, sweep), {"lr-too-low": RULES["lr-too-low"]})
    (remedy, faults), *_ = suspects(findings)
    assert compare(bench, (remedy,), faults).works


def _given(tape, sweep) -> Readings:
    readings = Readings(tape)
    readings.give(sweep)
    return readings


def test_a_sum_over_rows_is_not_thinned(tmp_path: Path) -> None:
    tape = tape_of(HEAVY.format(rate=1e-5, reduction="sum"), tmp_path)
    assert thinned(tape, 4) is tape
    assert Bench(tape, seconds=0.4).every == 1


@pytest.mark.parametrize("rate", [0.0, 1e-9, 4e-8, 1e-5, 1e-3, 0.1, 10.0])
def test_a_sweep_holds_the_written_rate_and_a_common_one(rate: float) -> None:
    factors = rates_around(rate)
    assert 1.0 in factors
    assert len(factors) <= 18
    assert list(factors) == sorted(factors)
    assert rate == 0 or rate < 1e-9 or max(factors) * rate >= 0.003


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


def test_rows_of_two_numbers(tmp_path: Path) -> None:
    rows = Samples.read(tape_of(TOWERS.format(labels=""), tmp_path))
    assert rows.looked_up == (True, True)
    assert rows.distinct > 300
    assert rows.ceiling == 1.0
