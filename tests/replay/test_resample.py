"""Experiments with the recorded rows: in random order, and in two halves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.experiment import Replay, Request
from unstuck.diagnosis.runners import Runners
from unstuck.diagnosis.skill import SHOWS
from unstuck.remedies.set_rate import SetRate
from unstuck.replay.bench import Bench
from unstuck.replay.resample import halves, mixed, resampled, unseen
from unstuck.rules.catalogue import catalogue
from unstuck.signals.relation import Relation

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


def test_rows_in_order_and_in_random_order(tmp_path: Path) -> None:
    ordered = mixed(Bench(tape_of(ORDERED.format(numbers="arange"), tmp_path)))
    assert ordered.after > ordered.before + 0.15
    assert ordered.word in ("heals", "helps")
    drawn = mixed(Bench(tape_of(ORDERED.format(numbers="randperm"), tmp_path)))
    assert abs(drawn.after - drawn.before) < 0.1
    assert drawn.word == "no-difference"


@pytest.mark.parametrize(("numbers", "said"), [("arange", 1), ("randperm", 0)])
def test_the_rule_asks_for_the_experiment(tmp_path: Path, numbers: str, said: int) -> None:
    readings = Readings(tape_of(ORDERED.format(numbers=numbers), tmp_path))
    findings, _ = examine(readings, {"not-shuffled": catalogue()["not-shuffled"]})
    assert len(findings) == said
    assert all(f.settles == ("mixed",) and f.remedies[0].name == "draw-order" for f in findings)


@pytest.mark.net
def test_rows_that_enter_with_a_mask_are_halved_by_their_words(tmp_path: Path) -> None:
    strangers = tape_of(MASKED.format(labels="y = y[torch.randperm(500)]"), tmp_path)
    shown = halves(Bench(strangers))
    assert shown.after > 0.1 > shown.before
    assert shown.word == "helps"
    assert Relation.read(strangers).strength < 3
    kin = tape_of(MASKED.format(labels=""), tmp_path)
    shown = halves(Bench(kin))
    assert shown.before > 0.2
    assert shown.word == "no-difference"
    assert Relation.read(kin).strength > 5


def test_an_experiment_says_on_how_much_it_stands(tmp_path: Path) -> None:
    bench = Bench(tape_of(ORDERED.format(numbers="randperm"), tmp_path))
    shown = resampled("halves", bench)
    assert (shown.lanes, shown.steps) == (8, len(bench.course.passes))
    assert shown.after >= shown.before - SHOWS
    assert f"skill is {shown.after:.2f} on them and {shown.before:.2f} on the others" in shown.why


NOISE = """
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(120, 20), torch.randint(0, 2, (120,))
{labels}
model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
for epoch in range(20):
    for rows in torch.randperm(120).split(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("labels", "word"), [("", "helps"), ("y = (x[:, 0] > 0).long()", "no-difference")])
def test_a_treated_run_that_learns_its_rows_by_heart_is_told_by_the_others(
    labels: str, word: str, tmp_path: Path
) -> None:
    assert unseen(Bench(tape_of(NOISE.format(labels=labels), tmp_path)), (SetRate(1e3, 1e-2),)).word == word


def test_a_rate_that_learns_noise_faster_does_not_heal(tmp_path: Path) -> None:
    run = Runners(tape_of(NOISE.format(labels=""), tmp_path), lambda _: None)
    done = run(Request(Replay(), (SetRate(1e3, 1e-2),), ("lr-too-low",)))
    assert done.treated.final > done.without.final + 0.3
    assert done.word == "no-difference"
