"""Code of the person's outside the script's folder: a package beside it, found by PYTHONPATH or by a path appended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole import SURROUNDINGS
from unstuck.recording.theirs import Theirs

MODEL = """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(6, 24), nn.Linear(24, 3)

    def forward(self, x):
        return self.outer(self.inner(x).relu()).softmax(0)
"""
SCRIPT = """\
import json, sys, torch
from pathlib import Path
from torch.nn import functional as F
from pkg.model import Net

torch.manual_seed(0)
lr = json.loads((Path(__file__).parents[2] / "configs" / "rate.json").read_text())["lr"]
x = torch.randn(600, 6)
y = (x @ torch.randn(6, 3)).argmax(1)
net = Net()
opt = torch.optim.Adam(net.parameters(), lr=lr)
for step in range(120):
    rows = torch.randint(0, 600, (32,))
    opt.zero_grad()
    F.cross_entropy(net(x[rows]), y[rows]).backward()
    opt.step()
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """`projects/one/train.py`, `pkg/model.py` and `configs/rate.json`; the class scores are normalised over rows."""
    files = {"pkg/__init__.py": "", "pkg/model.py": MODEL, "projects/one/train.py": SCRIPT}
    for name, text in {**files, "configs/rate.json": '{"lr": 0.01}'}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.net
def test_a_fault_in_a_package_beside_the_script_is_found_there_and_mended(project: Path) -> None:
    paths = os.pathsep.join([str(project), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "unstuck", "run", "--json", "said.json", "--patch", "said.patch"]
    surroundings = {**os.environ, **SURROUNDINGS, "PYTHONPATH": paths}
    subprocess.run([*command, "projects/one/train.py"], cwd=project, env=surroundings, capture_output=True, check=False)
    said = json.loads((project / "said.json").read_text())
    places = {c["fault"]: c["site"]["file"] for c in said["causes"]}
    assert places["softmax-dim"] == "../../pkg/model.py"
    assert said["patch"]["proven"]
    subprocess.run(["git", "apply", "said.patch"], cwd=project, check=True)
    assert "softmax(0)" not in (project / "pkg/model.py").read_text()


def test_installed_packages_and_tools_are_not_the_persons(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "vendor" / "other-1.0.dist-info").mkdir(parents=True)
    for path in ("vendor", "."):
        monkeypatch.syspath_prepend(str(project / path))
    theirs, here = Theirs(project / "projects/one"), os.sep
    assert theirs.relative(project / "pkg/model.py") == here.join(("..", "..", "pkg", "model.py"))
    assert theirs.relative(project / "vendor/other.py") is None
    assert theirs.relative(Path(os.__file__)) is None
    assert theirs.relative(Path(pytest.__file__)) is None
    assert theirs.relative(Path(sys.modules["torch"].__file__ or "")) is None


def test_settings_are_the_persons_where_they_import_or_work(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(project / "pkg"))
    monkeypatch.chdir(project / "configs")
    theirs = Theirs(project / "projects/one")
    files = ("configs/rate.json", "pkg/a.yaml", "projects/one/b.toml", "elsewhere.json", "configs/.cache/c.json")
    assert [theirs.setting(project / f) is not None for f in files] == [True, True, True, False, False]
