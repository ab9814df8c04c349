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


@pytest.mark.parametrize("fault", ["saturated-hidden", "no-zero-grad", "input-offset"])
def test_without_experiments_a_fault_is_a_suspect(fault: str, tmp_path: Path) -> None:
    """It was once said that nothing was found, whatever the rules had found."""
    whole = diagnosed(RULES[fault].fires, tmp_path / "script", prove=False)
    (suspect,) = (f for f in whole.diagnosis.suspects if f.fault == fault)
    assert suspect.effect.because == "no experiment was made"
    assert "Nothing wrong was found" not in terminal.render(whole.diagnosis)


@pytest.mark.parametrize("fault", ["no-zero-grad", "input-offset"])
def test_a_healthy_twin_is_left_alone(fault: str, tmp_path: Path) -> None:
    diagnosis = diagnosed(RULES[fault].quiet, tmp_path / "script").diagnosis
    assert not diagnosis.causes
    assert not diagnosis.suspects
