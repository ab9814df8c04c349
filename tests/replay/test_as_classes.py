"""Whole numbers under a squared error: names are told from grades by what the same network learns of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import NotApplicable
from unstuck.replay.as_classes import AsClasses
from unstuck.replay.bench import Bench
from unstuck.replay.resample import resampled
from unstuck.rules.catalogue import catalogue

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
centres = 2 * torch.randn(6, 10)
kind = torch.randint(0, 6, (600,))
x = centres[kind] + torch.randn(600, 10)
y = {targets}
net = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), {last})
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x[rows]).squeeze(1), y[rows])
        loss.backward()
        optimizer.step()
"""
LINEAR = "nn.Linear(24, 1)"
NAMES = SCRIPT.format(targets="((kind * 5) % 6 + 3).float()", last=LINEAR)
GRADES = SCRIPT.format(targets="(x[:, 0] + 3 + 0.7 * torch.randn(600)).round().clamp(1, 6)", last=LINEAR)


def bench(text: str, folder: Path) -> Bench:
    return Bench(tape_of(text, folder))


def test_names_are_learnt_as_classes_and_not_as_numbers(tmp_path: Path) -> None:
    bench_of_names = bench(NAMES, tmp_path)
    answers = AsClasses.of(bench_of_names)
    assert answers.named > answers.rounded + 0.2
    shown = resampled("classes", bench_of_names)
    assert shown.word == "heals"
    assert (shown.before, shown.after) == (answers.rounded, answers.named)


def test_grades_are_learnt_as_well_as_numbers(tmp_path: Path) -> None:
    assert resampled("classes", bench(GRADES, tmp_path)).word == "no-difference"


@pytest.mark.parametrize("text", [NAMES, GRADES])
def test_the_rule_asks_for_the_experiment(text: str, tmp_path: Path) -> None:
    (finding,), _ = examine(Readings(tape_of(text, tmp_path)), {"wrong-loss": catalogue()["wrong-loss"]})
    assert finding.settles == ("classes",)
    assert finding.effect.word == "undecided"


@pytest.mark.parametrize("last", ["nn.Linear(24, 1), nn.Softplus()", "nn.Linear(24, 1, bias=False), nn.Tanh()"])
def test_a_last_layer_that_is_not_linear_is_not_applicable(last: str, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        AsClasses.of(bench(SCRIPT.format(targets="kind.float()", last=last), tmp_path))
