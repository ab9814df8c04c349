"""A copy of a script's folder for a run that is not contained. Large files and folders are linked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

COPIED = 64 * 2**20
"""Files above this size are linked instead of copied."""
MANY = 4_000
"""Folders with more entries than this are linked as a whole below their first level."""


class NotCopied(OSError):
    """The run needs other text in a file that the copy does not hold."""


def moved(cwd: str, folder: Path, stage: Path) -> str:
    """The place of a working directory in the copy; itself where it is outside the folder."""
    here = Path(cwd)
    return str(stage / here.relative_to(folder)) if here.is_relative_to(folder) else cwd


def copied(folder: Path, stage: Path, sources: Mapping[str, str]) -> Path:
    """Copy a folder to `stage`, with some of its files replaced; the copy.

    Raises NotCopied if a file to be replaced is outside the folder: the copy would import it as it is.
    """
    outside = [path for path in sources if ".." in Path(path).parts]
    if other := next((path for path in outside if _other(folder / path, sources[path])), None):
        raise NotCopied(f"{other} is outside the folder of which a copy is made")
    stage.mkdir(parents=True)
    for entry in folder.iterdir():
        _bring(entry, stage / entry.name)
    for path in sources.keys() - set(outside):
        _put(stage, path, sources[path])
    return stage


def _other(file: Path, text: str) -> bool:
    return not file.is_file() or file.read_bytes() != text.encode("utf-8")


def _bring(entry: Path, to: Path) -> None:
    if entry.is_dir() and not entry.is_symlink() and _small(entry):
        shutil.copytree(entry, to, symlinks=True, ignore_dangling_symlinks=True)
    elif entry.is_file() and entry.stat().st_size <= COPIED:
        shutil.copy2(entry, to)
    elif entry.name != ".git":
        to.symlink_to(entry.resolve())


def _small(folder: Path) -> bool:
    size = count = 0
    for root, _, files in os.walk(folder):
        count += len(files)
        size += sum(os.lstat(Path(root) / f).st_size for f in files)
        if size > COPIED or count > MANY:
            return False
    return folder.name not in (".git", ".venv", "node_modules")


def _put(stage: Path, path: str, text: str) -> None:
    """Write a patched file into the copy, never through a link into the person's folder."""
    target = stage / path
    if target.is_file() and target.read_bytes() == text.encode("utf-8"):
        return
    linked = next((p for p in target.parents if p.is_symlink()), None)
    if linked is not None and linked.is_relative_to(stage):
        original = linked.resolve()
        linked.unlink()
        shutil.copytree(original, linked, symlinks=True)
    if target.is_symlink():
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode("utf-8"))
