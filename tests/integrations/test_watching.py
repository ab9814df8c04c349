"""`unstuck.watch`: the training is what it is without us, and the report names the cause."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import unstuck
from unstuck.integrations.watching import NothingRecorded

SCRIPT = """
import torch
from torch import nn

def train(rate):
    torch.manual_seed(0)
    rows, direction = torch.randn(600, 20), torch.randn(20)
    labels = (rows @ direction > 0).long()
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for epoch in range(20):
        for start in range(0, 600, 50):
            loss = nn.functional.cross_entropy(model(rows[start:start + 50]), labels[start:start + 50])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return [p.detach().clone() for p in model.parameters()]
"""


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "training.py").write_text(SCRIPT)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("training", None)
    import importlib

    return importlib.import_module("training")


def test_the_training_is_the_same_and_the_cause_is_named(training, tmp_path: Path) -> None:
    plain = training.train(1e-5)
    with unstuck.watch(tmp_path) as run:
        watched = training.train(1e-5)
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
    report = run.report()
    assert [c["fault"] for c in run.diagnosis["causes"]] == ["lr-too-low"]
    assert run.diagnosis["causes"][0]["site"]["file"] == "training.py"
    assert "lr-too-low" in str(report) and "lr-too-low" in report.page
    assert 'sandbox srcdoc="&lt;!doctype html&gt;' in report._repr_html_()
    assert run.report() is report
    run.save(tmp_path / "tape")
    assert (tmp_path / "tape" / "tape.json").exists()


@pytest.mark.net
def test_the_error_of_the_block_is_the_persons(training, tmp_path: Path) -> None:
    run = unstuck.watch(tmp_path)
    with pytest.raises(ZeroDivisionError), run:
        training.train(0.1)
        _ = 1 / 0
    assert run.diagnosis["stopped"].startswith("script failed: ZeroDivisionError")


def test_without_a_training_step_it_says_so(tmp_path: Path) -> None:
    run = unstuck.watch(tmp_path)
    with pytest.raises(NothingRecorded, match="has not ended"):
        run.report()
    with run:
        torch.ones(3).sum()
    with pytest.raises(NothingRecorded, match="no training step"):
        run.report()
    with pytest.raises(RuntimeError, match="begun already"):
        run.begin()


def test_importing_it_loads_no_torch() -> None:
    code = "import sys, unstuck; unstuck.watch; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
