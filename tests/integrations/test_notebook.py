"""Notebooks through the whole pipeline: recorded in a kernel, diagnosed by cell, patched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="needs the extra `notebook`")

IMPORTS = (
    "%matplotlib inline\nimport torch\nfrom torch import nn\nimport torch.nn.functional as F\ntorch.manual_seed(0);"
)
DATA = """rows, direction = torch.randn(600, 20), torch.randn(20)
labels = (rows @ direction > 0).long()
model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 2))"""
STEP = """def step(optimizer, start):
    loss = F.cross_entropy(model(rows[start:start + 50]), labels[start:start + 50])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss"""
TRAIN = """%%time
optimizer = torch.optim.SGD(model.parameters(), lr=1e-5)
for epoch in range(20):
    for start in range(0, 600, 50):
        loss = step(optimizer, start)"""


def written(path: Path, *cells: str) -> Path:
    made = [{"cell_type": "markdown", "metadata": {}, "source": ["# A notebook"]}]
    made += [
        {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": text.splitlines(True)}
        for text in cells
    ]
    # The kernel that the metadata name does not exist here.
    metadata = {"kernelspec": {"name": "elsewhere", "display_name": "elsewhere", "language": "python"}}
    path.write_text(json.dumps({"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 4}, indent=1))
    return path


def unstuck(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "unstuck", *words], cwd=cwd, capture_output=True, text=True)


@pytest.mark.net
def test_a_notebook_is_diagnosed_and_patched_by_cell(tmp_path):
    book = written(tmp_path / "rates.ipynb", IMPORTS, DATA, "", STEP, TRAIN, "print('loss', round(loss.item(), 2))")
    before = book.read_bytes()
    done = unstuck("run", "--json", "d.json", "--patch", "d.patch", book.name, cwd=tmp_path)
    report = json.loads((tmp_path / "d.json").read_text())
    assert done.returncode == 1, done.stderr
    assert "loss 0." in done.stdout
    assert [c["fault"] for c in report["causes"]] == ["lr-too-low"]
    assert report["causes"][0]["site"]["cell"] == 4
    assert report["causes"][0]["site"]["line"] == 2
    assert "rates.ipynb, cell 4" in report["patch"]["cells"]
    assert book.read_bytes() == before
    assert subprocess.run(["git", "apply", "d.patch"], cwd=tmp_path).returncode == 0
    changed = json.loads(book.read_text())["cells"]
    assert "%%time" in changed[5]["source"][0]
    assert [c for c, old in zip(changed, json.loads(before)["cells"], strict=True) if c != old] == [changed[5]]


@pytest.mark.net
def test_a_failing_cell_ends_the_run_with_its_own_traceback(tmp_path):
    book = written(tmp_path / "fails.ipynb", IMPORTS, DATA, "model(rows[:, :5])", "print('not reached')")
    done = unstuck("run", book.name, cwd=tmp_path)
    assert done.returncode == 3
    assert "mat1 and mat2" in done.stderr
    assert "not reached" not in done.stdout
    assert "recording/tracer.py" not in done.stderr


def test_what_is_no_notebook_is_one_line(tmp_path):
    (tmp_path / "x.ipynb").write_text("print(1)")
    done = unstuck("run", "x.ipynb", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not a notebook" in done.stderr and "Traceback" not in done.stderr


def test_the_cell_magic_reports_below_its_cell(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    magic = TRAIN.replace("%%time", "%%unstuck --quiet")
    path = written(tmp_path / "live.ipynb", IMPORTS, DATA, STEP, "%load_ext unstuck", magic, "print(epoch)")
    book = nbformat.read(path, 4)
    book.metadata.kernelspec.name = "python3"
    nbclient.NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    said = ["".join(o.get("text", "") for o in c.get("outputs", [])) for c in book.cells if c.cell_type == "code"]
    assert "Cause: lr-too-low" in said[4]
    assert said[5].strip() == "19"  # the cell ran to its end, in the kernel
