"""Diffs that `git apply` takes, and whole files written only over the ones that were diagnosed."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.diagnosis.model import FileChange
from unstuck.diagnosis.patch import PatchError, apply, diff, digest

SAMPLES = {
    "plain": ("a\nb\nc\n", "a\nB\nc\n"),
    "first and last": ("a\nb\nc\n", "x\na\nb\n"),
    "no last newline": ("a\nb", "a\nB"),
    "newline gained": ("a\nb", "a\nb\n"),
    "newline lost": ("a\nb\n", "a\nb"),
    "crlf": ("a\r\nb\r\nc\r\n", "a\r\nB\r\nc\r\n"),
    "crlf without end": ("a\r\nb", "a\r\nb\r\nc"),
    "form feed": ("a\fb\nc\rd\n", "a\fb\nC\rd\n"),
    "dashes": ("-- a/x\n-- b\n++ c\n", "++ b/x\n-- b\n"),
    "far apart": ("".join(f"{i}\n" for i in range(60)), "".join(f"{i + (i in (3, 50))}\n" for i in range(60))),
    "emptied": ("a\n", ""),
    "filled": ("", "a\n"),
    "bom": ("\ufeffa\nb\n", "\ufeffa\nc\n"),
    "new": (None, "fresh\n"),
}


def put(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())


def changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[FileChange]:
    return [FileChange(path, digest(old.get(path)), text) for path, text in new.items() if old.get(path) != text]


@pytest.mark.parametrize("path", ["train.py", "below/my model.py"])
@pytest.mark.parametrize("name", SAMPLES)
def test_git_apply_of_the_diff_and_our_files_agree(name: str, path: str, tmp_path: Path) -> None:
    old, new = SAMPLES[name]
    before = {} if old is None else {path: old}
    for folder in (ours := tmp_path / "ours", theirs := tmp_path / "repository" / "sub"):
        put(folder, {"kept.py": "kept\n", **before})
    (theirs / "fix.patch").write_bytes(diff(before, {path: new}).encode())
    subprocess.run(["git", "init", "-q", str(tmp_path / "repository")], check=True)
    subprocess.run(["git", "apply", "fix.patch"], cwd=theirs, check=True)
    assert apply(changes(before, {path: new}), ours) == [ours / path]
    # git removes a file that a patch empties; an empty module is what we leave
    after = (theirs / path).read_bytes() if (theirs / path).exists() else b""
    assert (ours / path).read_bytes() == after == new.encode()
    if old is not None:
        assert (ours / f"{path}.orig").read_bytes() == old.encode()


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*[st.lists(st.sampled_from(["a\n", "b\r\n", "- c\n", "\\ d\n", "\n", "@@ -1 +1 @@\n"]))] * 2),
    st.booleans(),
)
def test_git_takes_the_diff_of_any_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: tuple[list[str], list[str]], cut: bool
) -> None:
    old, new = ("".join(lines) for lines in texts)
    new = new.rstrip("\r\n") if cut else new
    folder = tmp_path_factory.mktemp("any")
    put(folder, {"x.py": old, "y.py": old})
    apply(changes({"x.py": old}, {"x.py": new}), folder)
    assert (folder / "x.py").read_bytes().decode() == new
    if old != new and new:
        (folder / "fix.patch").write_bytes(diff({"y.py": old}, {"y.py": new}).encode())
        subprocess.run(["git", "apply", "fix.patch"], cwd=folder, check=True)
        assert (folder / "y.py").read_bytes().decode() == new


def test_all_files_are_written_or_none(tmp_path: Path) -> None:
    old = {"a.py": "1\n", "pack/b.py": "2\n", "same.py": "3\n"}
    new = {"a.py": "one\n", "pack/b.py": "two\n", "same.py": "3\n"}
    put(tmp_path, old)
    (tmp_path / "pack" / "b.py").write_text("edited since\n")
    with pytest.raises(PatchError, match=r"pack/b\.py: the file has changed since it was diagnosed"):
        apply(changes(old, new), tmp_path)
    assert (tmp_path / "a.py").read_text() == "1\n"
    assert not list(tmp_path.rglob("*.orig"))
    put(tmp_path, old)
    assert apply(changes(old, new), tmp_path) == [tmp_path / "a.py", tmp_path / "pack" / "b.py"]
    assert {path: (tmp_path / path).read_text() for path in new} == new


def test_earlier_originals_stay(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": "1\n", "a.py.orig": "0\n"})
    (tmp_path / "a.py").chmod(0o755)
    apply(changes({"a.py": "1\n"}, {"a.py": "2\n"}), tmp_path)
    assert [(tmp_path / n).read_text() for n in ("a.py", "a.py.orig", "a.py.orig.2")] == ["2\n", "0\n", "1\n"]
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("path", "before"),
    [
        pytest.param("x.py", "b\n", id="another text"),
        pytest.param("x.py", "a\r\n", id="other line ends"),
        pytest.param("x.py", "a", id="no last newline"),
        pytest.param("x.py", None, id="a new file that is there already"),
        pytest.param("gone.py", "a\n", id="a file that is gone"),
        pytest.param("folder", "a\n", id="a folder"),
        pytest.param("../new.py", None, id="a new file outside the folder"),
        pytest.param("link/new.py", None, id="a new file outside through a link"),
        pytest.param("../x.py", "b\n", id="another text outside the folder"),
    ],
)
def test_what_is_not_the_diagnosed_file_is_not_written(path: str, before: str | None, tmp_path: Path) -> None:
    put(tmp_path, {"x.py": "a\n", "in/x.py": "a\n", "in/folder/y.py": "a\n"})
    (tmp_path / "in" / "link").symlink_to(tmp_path)
    there = {p: p.read_text() for p in tmp_path.rglob("*.py")}
    with pytest.raises(PatchError):
        apply([FileChange(path, digest(before), "changed\n")], tmp_path / "in")
    assert {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == there


def test_a_linked_script_is_changed_in_its_place(tmp_path: Path) -> None:
    put(tmp_path, {"real.py": "a\n"})
    (tmp_path / "train.py").symlink_to("real.py")
    apply([FileChange("train.py", digest("a\n"), "b\n")], tmp_path)
    assert (tmp_path / "train.py").is_symlink()
    assert (tmp_path / "real.py").read_text() == "b\n"


def test_files_beside_the_scripts_folder_are_changed_and_shown_from_the_folder_above(tmp_path: Path) -> None:
    put(tmp_path, {"in/train.py": "1\n", "pkg/model.py": "a\n"})
    old, new = {"train.py": "1\n", "../pkg/model.py": "a\n"}, {"train.py": "2\n", "../pkg/model.py": "b\n"}
    shown = diff(old, new, str(tmp_path / "in"))
    assert shown.startswith("Paths are relative to .. of the script's folder.\n")
    subprocess.run(["git", "apply", "-"], input=shown, text=True, cwd=tmp_path, check=True)
    assert ((tmp_path / "in/train.py").read_text(), (tmp_path / "pkg/model.py").read_text()) == ("2\n", "b\n")
    put(tmp_path, {"in/train.py": "1\n", "pkg/model.py": "a\n"})
    apply(changes(old, new), tmp_path / "in")
    assert ((tmp_path / "in/train.py").read_text(), (tmp_path / "pkg/model.py").read_text()) == ("2\n", "b\n")


def test_equal_is_empty() -> None:
    assert diff({"a.py": "1\n"}, {"a.py": "1\n"}) == ""
