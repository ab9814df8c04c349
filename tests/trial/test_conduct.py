"""Trials through the command: real runs of small programs, contained, from seeds that are shifted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import unstuck
from unstuck.cli.commands import main
from unstuck.trial.conduct import Untried

SCRIPT = """import sys
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(256, 4)
y = (x[:, 0] + x[:, 1] > 0).long()
model = nn.Linear(4, 2)
nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
for step in range(40):
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
open("log.txt", "a").write("run\\n")
print("final loss %.5f" % loss.item())
print("RESULT accuracy %.4f" % (model(x).argmax(1) == y).float().mean().item())
print("took 3 seconds")
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The script in a folder of its own, which is the present one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (folder / "train.py").write_text(SCRIPT, encoding="utf-8")
    return folder / "train.py"


def tried(*words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of a trial."""
    result = Path("..", "result.json")
    code = main(["try", "--json", str(result), *words])
    return code, json.loads(result.read_text(encoding="utf-8")) if result.exists() else {}


@pytest.mark.net
def test_a_better_rate_heals_and_nothing_is_written(script: Path) -> None:
    before = {p.name: p.read_bytes() for p in script.parent.iterdir()}
    code, trial = tried("--set", "lr=0.5", "train.py")
    assert (code, trial["word"]) == (0, "heals")
    assert trial["measure"]["name"] == "result accuracy" and trial["measure"]["better"] == "higher"
    assert trial["p"] < 0.025 and trial["interval"][0] > 0 and trial["format"] == 1
    assert len(trial["pairs"]) <= 4 and trial["seeds"] == {"torch.manual_seed": 1}
    originals = [pair["original"] for pair in trial["pairs"]]
    assert len(set(originals)) > 1  # the script seeds itself with 0, and its runs differ all the same
    assert {p.name: p.read_bytes() for p in script.parent.iterdir()} == before


@pytest.mark.net
def test_a_harmless_edit_makes_no_difference(script: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.py"
    other.write_text(SCRIPT.replace("lr=0.0)", "lr=0.0)  # low\nprint('built', 1)"), encoding="utf-8")
    code, trial = tried("--with", str(other), "train.py")
    assert (code, trial["word"], len(trial["pairs"])) == (1, "no-difference", 2)
    assert "no difference; both programs print the same numbers" in capfd.readouterr().err.replace("\n  ", " ")


@pytest.mark.net
def test_a_script_that_fails_and_a_change_that_fails(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    patch = Path("..", "x.patch")
    patch.write_text("--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-import sys\n+raise ValueError('mine')\n")
    code, trial = tried("--patch", str(patch), "train.py")
    assert (code, trial["word"]) == (1, "harms") and "ValueError: mine" in trial["why"]
    script.write_text("import sys\nprint('loss 1')\nraise KeyError('theirs')\n")
    assert main(["try", "--patch", str(patch), "train.py"]) == 3
    assert "the original script fails: KeyError: 'theirs'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--patch", "gone.patch", "train.py"], "gone.patch: no such file"),
        (["--with", "gone.py", "train.py"], "gone.py: no such file"),
        (["--set", "gamma=3", "train.py"], "no place was found"),
        (["--set", "lr=3", "gone.py"], "gone.py: no such file"),
        (["train.py"], "say what to try"),
        (["--set", "lr=3", "--higher-is-better", "--lower-is-better", "train.py"], "not both"),
    ],
)
def test_a_wrong_command_line_is_2(script: Path, words: list[str], why: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["try", *words]) == 2
    assert why in capfd.readouterr().err


@pytest.mark.net
def test_the_skill_of_the_training_where_nothing_is_printed(script: Path) -> None:
    text = SCRIPT[: SCRIPT.index("print(")].replace("range(40)", "range(120)")
    script.write_text(text, encoding="utf-8")
    trial = unstuck.try_patch(script, values={"lr": 0.5}, seeds=3)
    assert trial.measure is not None and trial.measure.name == "skill"
    assert trial.word in ("heals", "helps") and trial.better


SPREAD = """import random
random.seed({spread})
print("acc", 0.8 + random.random() / 1000)
print("spread", {spread} + random.random() / 1000)
"""


@pytest.mark.net
def test_a_number_without_a_direction_that_moves_is_noted_and_can_be_asked_for(script: Path) -> None:
    script.write_text(SPREAD.format(spread=0.5), encoding="utf-8")
    changed = script.with_name("changed.py")
    changed.write_text(SPREAD.format(spread=0.1), encoding="utf-8")
    unasked = unstuck.try_patch(script, other=changed)
    assert (unasked.word, unasked.measure and unasked.measure.name) == ("no-difference", "acc")
    assert '"spread #" is lower in every pair' in unasked.notes[0]
    asked = unstuck.try_patch(script, other=changed, by="spread", higher_is_better=False)
    assert (asked.word, asked.measure and asked.measure.name) == ("heals", "spread")
    assert unstuck.try_patch(script, other=changed, higher_is_better=False).word == "heals"
    with pytest.raises(Untried, match=r'the words "iou" before it \(they print: "spread", "acc"'):
        unstuck.try_patch(script, other=changed, by="iou")
    moved = unstuck.try_patch(script, other=changed, by="spread")
    assert moved.word == "undecided" and "the number is lower, and its words do not say which way" in moved.why


@pytest.mark.net
def test_a_number_without_a_direction_can_show_that_there_is_no_difference(
    script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    script.write_text("import random\nprint('return', 10 + random.random() / 100)\n")
    changed = script.with_name("changed.py")
    changed.write_text("import random\nrandom.random()\nprint('return', 10 + random.random() / 100)\n")
    code, trial = tried("--with", "changed.py", "train.py")
    assert (code, trial["word"], trial["measure"]["better"]) == (1, "no-difference", "unknown")
    assert "which way is better is not known" in capfd.readouterr().err


@pytest.mark.net
def test_what_no_word_gives_a_direction_can_be_told(script: Path) -> None:
    script.write_text("import os, random\nprint('return', 10 + random.random() * float(os.environ.get('NO', 1)))\n")
    changed = script.with_name("changed.py")
    changed.write_text("import random\nprint('return', 20 + random.random())\n")
    assert unstuck.try_patch(script, other=changed, higher_is_better=True).word == "helps"
    assert unstuck.try_patch(script, other=changed, higher_is_better=False).word == "harms"
