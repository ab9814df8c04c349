"""From a script to its diagnosis, on a few scripts; `make net` does the same for every rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole import diagnosed, run
from unstuck.report import json as as_json
from unstuck.report import terminal
from unstuck.rules.catalogue import catalogue

RULES = catalogue()


@pytest.mark.parametrize("fault", ["saturated-hidden", "no-zero-grad", "input-offset", "metric-error", "lr-too-low"])
def test_a_fault_is_a_cause_and_its_patch_runs(fault: str, tmp_path: Path) -> None:
    whole = diagnosed(RULES[fault].fires, tmp_path / "script")
    assert fault in {f.fault for f in whole.diagnosis.causes}
    assert fault in terminal.render(whole.diagnosis)
    assert as_json.plain(whole.diagnosis)["causes"]
    assert run(whole.patched()).returncode == 0


@pytest.mark.net
@pytest.mark.parametrize("fault", ["saturated-hidden", "no-zero-grad", "input-offset"])
def test_without_experiments_a_fault_is_a_suspect(fault: str, tmp_path: Path) -> None:
    """It was once said that nothing was found, whatever the rules had found."""
    whole = diagnosed(RULES[fault].fires, tmp_path / "script", prove=False)
    (suspect,) = (f for f in whole.diagnosis.suspects if f.fault == fault)
    assert suspect.effect.because == "no experiment was made"
    assert "Nothing wrong was found" not in terminal.render(whole.diagnosis)


@pytest.mark.net
@pytest.mark.parametrize("fault", ["no-zero-grad", "input-offset"])
def test_a_healthy_twin_is_left_alone(fault: str, tmp_path: Path) -> None:
    diagnosis = diagnosed(RULES[fault].quiet, tmp_path / "script").diagnosis
    assert not diagnosis.causes
    assert not diagnosis.suspects


RATE = """
import argparse
import json
import torch
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
options = parser.parse_args()
settings = json.load(open("settings.json"))
torch.manual_seed(0)
rows = torch.randn(800, 10)
labels = (rows[:, 0] > rows[:, 1]).long()
model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=options.rate or settings["optim"]["rate"])
for epoch in range(10):
    for start in range(0, 800, 50):
        loss = nn.functional.cross_entropy(model(rows[start : start + 50]), labels[start : start + 50])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""


@pytest.mark.net
def test_a_rate_is_changed_in_the_settings_file_that_holds_it(tmp_path: Path) -> None:
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "settings.json").write_text('{"seed": 1, "optim": {"rate": 1e-6}}\n')
    whole = diagnosed(RATE, tmp_path / "script")
    (cause,) = whole.diagnosis.causes
    assert "from rate in settings.json:1" in cause.message
    assert whole.diagnosis.patch is not None
    assert whole.diagnosis.patch.proven
    assert [f.path for f in whole.diagnosis.patch.files] == ["settings.json"]
    assert run(whole.patched()).returncode == 0


@pytest.mark.net
def test_a_rate_from_the_command_line_is_no_change_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "script").mkdir()
    (tmp_path / "script" / "settings.json").write_text('{"optim": {"rate": 0.05}}\n')
    whole = diagnosed(RATE, tmp_path / "script", arguments=("--rate", "1e-6"))
    patch = whole.diagnosis.patch
    assert patch is not None
    assert (patch.trust, patch.proven, patch.diff, patch.files) == ("advice", True, "", ())
    assert patch.arguments[0] == "--rate"
    assert f"pass --rate {patch.arguments[1]}" in terminal.render(whole.diagnosis)
    assert "--write" not in terminal.render(whole.diagnosis)
