"""Whole numbers under a squared error: names are told from grades by what the same network learns of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding, NotApplicable
from unstuck.replay.as_classes import AsClasses
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


def _found(text: str, folder: Path) -> list[Finding]:
    found, _ = examine(Readings(tape_of(text, folder)), {"wrong-loss": catalogue()["wrong-loss"]})
    return found


def test_names_are_learnt_as_classes_and_not_as_numbers(tmp_path: Path) -> None:
    (finding,) = _found(NAMES, tmp_path)
    told = AsClasses.read(tape_of(NAMES, tmp_path))
    assert told.named > told.rounded + 0.2
    assert finding.severity == "error"
    assert finding.demonstrated


def test_grades_stay_a_hint(tmp_path: Path) -> None:
    (finding,) = _found(GRADES, tmp_path)
    assert (finding.severity, finding.demonstrated) == ("hint", "")


@pytest.mark.parametrize("last", ["nn.Linear(24, 1), nn.Softplus()", "nn.Linear(24, 1, bias=False), nn.Tanh()"])
def test_without_a_plain_last_layer_nothing_is_said(last: str, tmp_path: Path) -> None:
    tape = tape_of(SCRIPT.format(targets="kind.float()", last=last), tmp_path)
    with pytest.raises(NotApplicable):
        AsClasses.read(tape)
