"""The pytest plugin, in pytest runs of their own: it loads nothing heavy, and a failure is shown by its verdict."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PLAIN = """
import sys

def test_nothing_is_imported():
    heavy = {"torch", "numpy", "rich", "msgspec", "unstuck.testing", "unstuck.recording"}
    assert not heavy & set(sys.modules), heavy & set(sys.modules)

def test_that_fails():
    assert 1 == 2
"""

TRAINING = """
import torch

def train():
    torch.manual_seed(0)
    rows = torch.randn(400, 8)
    labels, model = (rows.sum(1) > 0).long(), torch.nn.Linear(8, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for step in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(rows), labels).backward()

def test_broken(assert_learns):
    assert_learns(train)
"""


def pytest_in(folder: Path, text: str, *words: str) -> str:
    """What pytest prints for one test file in a folder, with the plugin loaded as its entry point loads it."""
    (folder / "test_it.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_plugin(), *words, "test_it.py"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def _plugin() -> list[str]:
    """No word where the installed package has the entry point, else `-p` with the module."""
    from importlib.metadata import entry_points

    return [] if entry_points(group="pytest11", name="unstuck") else ["-p", "unstuck.pytest_plugin"]


def test_other_tests_are_not_touched(tmp_path: Path) -> None:
    shown = pytest_in(tmp_path, PLAIN, "-p", "no:hypothesispytest", "-p", "no:anyio")
    assert "1 failed, 1 passed" in shown, shown
    told = (line for line in shown.splitlines() if not line.startswith(("plugins:", "rootdir:")))
    assert not [line for line in told if "unstuck" in line]


@pytest.mark.net
def test_a_failure_is_shown_by_its_verdict_report_and_page(tmp_path: Path) -> None:
    shown = pytest_in(tmp_path, TRAINING, "--unstuck-pages", "pages")
    assert "1 failed" in shown, shown
    assert "E       unstuck.testing.DoesNotLearn: no-step (test_it.py:11): train " in shown, shown
    assert "- unstuck -" in shown and "\nCause: no-step." in shown
    assert "git apply" in shown and "unstuck run --write" not in shown
    (page,) = (tmp_path / "pages").iterdir()
    assert page.name == "test_it.py-test_broken.html" and "no-step" in page.read_text(encoding="utf-8")
