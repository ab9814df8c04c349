"""Diffs that `git apply` takes, and the same result without git."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unstuck.diagnosis.patch import PatchError, apply, diff

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


def put(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text.encode())


@pytest.mark.parametrize("path", ["train.py", "below/my model.py"])
@pytest.mark.parametrize("name", SAMPLES)
def test_git_and_we_agree(name: str, path: str, tmp_path: Path) -> None:
    old, new = SAMPLES[name]
    text = diff({} if old is None else {path: old}, {path: new})
    for folder in (ours := tmp_path / "ours", theirs := tmp_path / "repository" / "sub"):
        put(folder, {"kept.py": "kept\n"} | ({} if old is None else {path: old}))
    (theirs / "fix.patch").write_bytes(text.encode())
    subprocess.run(["git", "init", "-q", str(tmp_path / "repository")], check=True)
    subprocess.run(["git", "apply", "fix.patch"], cwd=theirs, check=True)
    assert apply(text, ours) == [ours / path]
    # git removes a file that a patch empties; an empty module is what we leave
    after = (theirs / path).read_bytes() if (theirs / path).exists() else b""
    assert (ours / path).read_bytes() == after == new.encode()
    if old is not None:
        assert (ours / f"{path}.orig").read_bytes() == old.encode()


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(*[st.lists(st.sampled_from(["a\n", "b\r\n", "- c\n", "\\ d\n", "\n", "@@ -1 +1 @@\n"]))] * 2),
    st.booleans(),
)
def test_any_texts(tmp_path_factory: pytest.TempPathFactory, texts: tuple[list[str], list[str]], cut: bool) -> None:
    old, new = ("".join(lines) for lines in texts)
    new = new.rstrip("\r\n") if cut else new
    folder = tmp_path_factory.mktemp("any")
    put(folder, {"x.py": old})
    apply(diff({"x.py": old}, {"x.py": new}), folder)
    assert (folder / "x.py").read_bytes().decode() == new


def test_several_files_or_none(tmp_path: Path) -> None:
    old = {"a.py": "1\n", "pack/b.py": "2\n", "same.py": "3\n"}
    new = {"a.py": "one\n", "pack/b.py": "two\n", "same.py": "3\n"}
    put(tmp_path, old)
    text = diff(old, new)
    (tmp_path / "pack" / "b.py").write_text("edited since\n")
    with pytest.raises(PatchError, match=r"pack/b\.py: line 1 is not as it was"):
        apply(text, tmp_path)
    assert (tmp_path / "a.py").read_text() == "1\n"
    assert not list(tmp_path.rglob("*.orig"))


def test_earlier_originals_stay(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": "1\n", "a.py.orig": "0\n"})
    (tmp_path / "a.py").chmod(0o755)
    apply(diff({"a.py": "1\n"}, {"a.py": "2\n"}), tmp_path)
    assert [(tmp_path / n).read_text() for n in ("a.py", "a.py.orig", "a.py.orig.2")] == ["2\n", "0\n", "1\n"]
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    "text", ["nonsense\n", "--- a/x.py\n+++ b/x.py\n@@ -1,3 +1 @@\n-a\n", diff({"../x.py": "a\n"}, {"../x.py": "b\n"})]
)
def test_what_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    put(tmp_path, {"x.py": "a\n", "in/x.py": "a\n"})
    with pytest.raises(PatchError):
        apply(text, tmp_path / "in")
    assert (tmp_path / "x.py").read_text() == "a\n"


def test_equal_is_empty() -> None:
    assert diff({"a.py": "1\n"}, {"a.py": "1\n"}) == ""
