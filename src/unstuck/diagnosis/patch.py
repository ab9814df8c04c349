"""Unified diffs to show, and whole files to write, to the byte: CRLF, a missing last newline and new files included.

The headers are plain `--- a/x`, `+++ b/x` without a `diff --git` line: `git apply` then takes the paths as relative to
the folder it is called in, which is the script's; or the nearest one above it that holds all changed files, where some
lie outside the script's. A line before the first header then says which.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

from unstuck.diagnosis.model import FileChange

NOTHING = "/dev/null"
UNENDED = "\\ No newline at end of file"


class PatchError(Exception):
    """The patch does not fit the files; the message is one line. Nothing was written."""


def diff(old: Mapping[str, str], new: Mapping[str, str], folder: str = "") -> str:
    """The unified diff between two sets of files (path below or beside `folder` -> text); "" where they are equal."""
    changed = {path: text for path, text in sorted(new.items()) if old.get(path) != text}
    up = max((Path(path).parts.count("..") for path in changed), default=0)
    told = f"Paths are relative to {'/'.join(['..'] * up)} of the script's folder.\n" if up else ""
    return told + "".join(_of_file(_below(path, folder, up), old.get(path), text) for path, text in changed.items())


def _below(path: str, folder: str, up: int) -> str:
    """A path relative to the folder so many levels above the script's."""
    if up:
        path = os.path.relpath(Path(folder or Path.cwd(), path), Path(folder or Path.cwd(), *[".."] * up))
    return path.replace(os.sep, "/")


def _of_file(path: str, old: str | None, new: str) -> str:
    # A tab ends a name that holds a blank, so that the blank does not end it.
    end = "\t" if " " in path else ""
    before = NOTHING if old is None else f"a/{path}{end}"
    lines = difflib.unified_diff(_lines(old or ""), _lines(new), before, f"b/{path}{end}", lineterm="\n")
    return "".join(line if line.endswith("\n") else f"{line}\n{UNENDED}\n" for line in lines)


def _lines(text: str) -> list[str]:
    # str.splitlines would also cut at form feeds and lone carriage returns, which diff and git do not.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def digest(text: str | None) -> str | None:
    """SHA-256 of a file's text as bytes; None if there is no file."""
    return None if text is None else sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def apply(changes: Iterable[FileChange], folder: Path) -> list[Path]:
    """Write the changed files below a folder and return their paths.

    Each changed file is kept beside it with `.orig` appended (`.orig.2`, ... if that is taken). Raises PatchError if a
    file is not the one that was diagnosed; then nothing is written at all.
    """
    checked = [(_checked(change, folder), change.after) for change in changes]
    for (path, before), _ in checked:
        if before is not None:
            _spare(path).write_bytes(before)
    for (path, _), after in checked:
        _replace(path, after.encode("utf-8", "surrogateescape"))
    return [path for (path, _), _ in checked]


def _checked(change: FileChange, folder: Path) -> tuple[Path, bytes | None]:
    path = folder / change.path
    # A file elsewhere is one that was imported from there; its content has to be the recorded one, as below.
    if change.before is None and not path.resolve().is_relative_to(folder.resolve()):
        raise PatchError(f"{change.path}: outside the script's folder")
    try:
        before = path.read_bytes() if change.before is not None or path.exists() else None
    except OSError as error:
        raise PatchError(f"{change.path}: {error.strerror}") from None
    if (None if before is None else sha256(before).hexdigest()) != change.before:
        raise PatchError(f"{change.path}: the file has changed since it was diagnosed")
    return path, before


def _spare(path: Path) -> Path:
    """A free name for the copy of the original: an earlier one is never overwritten."""
    names = (path.with_name(path.name + ".orig" + (f".{n}" if n > 1 else "")) for n in range(1, 10_000))
    return next(name for name in names if not name.exists())


def _replace(path: Path, content: bytes) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch.write_bytes(content)
    if path.exists():
        scratch.chmod(path.stat().st_mode)
    scratch.replace(path.resolve() if path.is_symlink() else path)
