"""Diffs that are applied as git applies them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from unstuck.diagnosis.patch import diff
from unstuck.source.unified import CannotPatch, patched

TEXT = "".join(f"line {n}\n" for n in range(40))


def applied(text: str, patch: str, path: str = "train.py") -> str:
    """The file after the patch."""
    return patched(patch, {path: text}.get)[path]


@pytest.mark.parametrize("seed", range(30))
def test_what_diff_writes_leads_back_to_the_new_text(seed: int) -> None:
    r = random.Random(seed)
    lines = [f"{r.choice('abc')}{r.choice(['', chr(32), '--- x', '+'])}\n" for _ in range(r.randint(1, 30))]
    new = [line for line in lines if r.random() > 0.2] + ["end"] * (r.random() > 0.5)
    for _ in range(r.randint(1, 4)):
        new.insert(r.randint(0, len(new)), "new\n")
    old, after = "".join(lines), "".join(new)
    if seed % 3 == 0:
        old, after = old.replace("\n", "\r\n"), after.replace("\n", "\r\n")
    assert applied(old, diff({"train.py": old}, {"train.py": after})) == after


def test_a_diff_whose_place_has_moved_and_whose_counts_are_wrong_still_applies() -> None:
    patch = "--- a/train.py\n+++ b/train.py\n@@ -3,9 +3,9 @@\n line 10\n-line 11\n+other 11\n line 12\n\n"
    assert applied(TEXT, patch) == TEXT.replace("line 11\n", "other 11\n")


def test_windows_line_ends_stay() -> None:
    patch = "--- train.py\n+++ train.py\n@@ -2 +2 @@\n-line 1\n+x\n"
    assert applied(TEXT.replace("\n", "\r\n"), patch) == TEXT.replace("line 1\n", "x\n", 1).replace("\n", "\r\n")


def test_a_new_file_and_two_files_in_one_diff() -> None:
    new = "--- /dev/null\n+++ b/sub/new.py\n@@ -0,0 +1,2 @@\n+a\n+b\n"
    patch = f"{new}--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-line 0\n+0\n"
    assert patched(patch, {"train.py": TEXT}.get) == {
        "sub/new.py": "a\nb\n",
        "train.py": TEXT.replace("line 0", "0", 1),
    }


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        ("nothing\n", "no unified diff"),
        ("--- a/train.py\n+++ b/train.py\n@@ -1 +1 @@\n-line 99\n+x\n", "does not fit at line 1"),
        ("--- a/other.py\n+++ b/other.py\n@@ -1 +1 @@\n-x\n+y\n", "other.py: no such file"),
        ("--- a/train.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n", "removes a file"),
    ],
)
def test_what_does_not_apply_says_why(patch: str, why: str) -> None:
    with pytest.raises(CannotPatch, match=why):
        patched(patch, {"train.py": TEXT}.get)


def test_a_text_is_read_only_where_the_diff_names_it(tmp_path: Path) -> None:
    asked: list[str] = []
    with pytest.raises(CannotPatch):
        patched("--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n", lambda path: asked.append(path))
    assert asked == ["x.py"]
