"""What is changed: diffs, other files, and values that are set where they are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstuck.trial.change import CannotChange, Change, changed

SCRIPT = """import argparse
import torch

LR = 0.1  # of the optimizer
parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--decay", default="none")
options = parser.parse_args()
model = torch.nn.Linear(1, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=0.5)
print(options.epochs)
"""


def made(folder: Path, *arguments: str, patch: str | None = None, values: tuple[str, ...] = ()) -> Change:
    """A change of the script."""
    script = folder / "train.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return changed(script, arguments, patch, None, values)


def test_a_value_is_set_where_it_is_made(tmp_path: Path) -> None:
    change = made(tmp_path, values=("lr=1e-2", "momentum=0.9"))
    assert change.files == {"train.py": SCRIPT.replace("LR = 0.1", "LR = 0.01").replace("0.5", "0.9")}
    assert "0.1 -> 1e-2" in change.said and "train.py:4" in change.said


def test_an_option_is_set_on_the_command_line(tmp_path: Path) -> None:
    change = made(tmp_path, "--epochs", "7", "x", values=("epochs=9", "--decay=cosine"))
    assert change.arguments == ("x", "--epochs=9", "--decay=cosine") and not change.files


def test_a_value_in_a_settings_file(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"batch_size": 32, "lr": 0.5}')
    script = tmp_path / "train.py"
    script.write_text("import json\nsettings = json.load(open('config.json'))\nprint(settings['batch_size'])\n")
    change = changed(script, (), None, None, ("batch_size=64",))
    assert change.files == {"config.json": '{"batch_size": 64, "lr": 0.5}'}


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (("lr",), "expected NAME=VALUE"),
        (("gamma=0.5",), "no place was found"),
        (("lr=cosine",), "is no number"),
        ((), "say what to try"),
    ],
)
def test_what_cannot_be_set_says_why(tmp_path: Path, values: tuple[str, ...], why: str) -> None:
    with pytest.raises(CannotChange, match=why):
        made(tmp_path, values=values)


def test_two_values_under_one_name_are_ambiguous(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text("import torch\na = torch.optim.SGD([], lr=0.1)\nb = torch.optim.Adam([], lr=0.01)\n")
    with pytest.raises(CannotChange, match=r"several places.*train.py:2 \(0.1\).*train.py:3 \(0.01\)"):
        changed(script, (), None, None, ("lr=1",))


def test_a_patch_stays_inside_the_folder(tmp_path: Path) -> None:
    (tmp_path.parent / "outside.py").write_text("a\n")
    with pytest.raises(CannotChange):
        made(tmp_path, patch="--- a/../outside.py\n+++ b/../outside.py\n@@ -1 +1 @@\n-a\n+b\n")
    with pytest.raises(CannotChange, match="outside the script's folder"):
        made(tmp_path, patch="--- /dev/null\n+++ b/../new.py\n@@ -0,0 +1 @@\n+b\n")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    with pytest.raises(CannotChange, match=r"gone.py: no such file"):
        changed(script, (), None, tmp_path / "gone.py", ())
