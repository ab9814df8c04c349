"""Unified diffs, made and applied to the byte: CRLF, a missing last newline and new files included.

The headers are plain `--- a/x`, `+++ b/x` without a `diff --git` line: `git apply` then takes the paths as relative to
the folder it is called in, which is the script's.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

NOTHING = "/dev/null"
UNENDED = "\\ No newline at end of file"
HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+\d+(?:,(\d+))? @@")


class PatchError(Exception):
    """The diff does not fit the files; the message is one line. Nothing was written."""


@dataclass
class Change:
    """What a diff says about one file: hunks of (first line, old lines, new lines)."""

    old: str
    new: str
    hunks: list[tuple[int, list[str], list[str]]] = field(default_factory=list)


def diff(old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """The unified diff between two sets of files (path -> text); "" where they are equal."""
    return "".join(_of_file(path, old.get(path), text) for path, text in sorted(new.items()) if old.get(path) != text)


def _of_file(path: str, old: str | None, new: str) -> str:
    path = path.replace(os.sep, "/")
    # A tab ends a name that holds a blank, so that the blank does not end it.
    end = "\t" if " " in path else ""
    before = NOTHING if old is None else f"a/{path}{end}"
    lines = difflib.unified_diff(_lines(old or ""), _lines(new), before, f"b/{path}{end}", lineterm="\n")
    return "".join(line if line.endswith("\n") else f"{line}\n{UNENDED}\n" for line in lines)


def _lines(text: str) -> list[str]:
    # str.splitlines would also cut at form feeds and lone carriage returns, which diff and git do not.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def apply(text: str, folder: Path) -> list[Path]:
    """Apply a diff below a folder and return the files that were changed or made.

    Each changed file is kept beside it with `.orig` appended (`.orig.2`, ... where that is taken). Raises PatchError
    where a file is not as the diff expects it; then nothing is written at all.
    """
    changed = [_changed(change, folder) for change in _read(text)]
    for path, before, _ in changed:
        if before is not None:
            _spare(path).write_bytes(before)
    for path, _, after in changed:
        _replace(path, after)
    return [path for path, _, _ in changed]


def _changed(change: Change, folder: Path) -> tuple[Path, bytes | None, bytes]:
    path = folder / change.new
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PatchError(f"{change.new}: outside the script's folder")
    try:
        before = None if change.old == NOTHING else path.read_bytes()
    except OSError as error:
        raise PatchError(f"{change.new}: {error.strerror}") from None
    if before is None and path.exists():
        raise PatchError(f"{change.new}: the file exists already")
    lines = _lines((before or b"").decode("utf-8", "surrogateescape"))
    after = "".join(_patched(lines, change))
    return path, before, after.encode("utf-8", "surrogateescape")


def _patched(lines: list[str], change: Change) -> Iterator[str]:
    done = 0
    for first, old, new in change.hunks:
        at = max(first - 1, 0)
        if at < done or lines[at : at + len(old)] != old:
            raise PatchError(f"{change.new}: line {first} is not as it was when the script ran")
        yield from lines[done:at]
        yield from new
        done = at + len(old)
    yield from lines[done:]


def _read(text: str) -> Iterator[Change]:
    lines = _lines(text)
    change: Change | None = None
    at = 0
    while at < len(lines):
        if lines[at].startswith("--- ") and at + 1 < len(lines):
            change = Change(_name(lines[at]), _name(lines[at + 1]))
            at, hunks = _hunks(lines, at + 2)
            change.hunks.extend(hunks)
            yield change
        elif lines[at].strip():
            raise PatchError(f"not a unified diff: line {at + 1}")
        else:
            at += 1


def _name(line: str) -> str:
    name = line[4:].rstrip("\n").split("\t")[0]
    return name if name == NOTHING else name.partition("/")[2]


def _hunks(lines: list[str], at: int) -> tuple[int, list[tuple[int, list[str], list[str]]]]:
    hunks = []
    while at < len(lines) and (head := HUNK.match(lines[at])):
        start, size, wanted = int(head[1]), int(head[2] or 1), int(head[3] or 1)
        end = _end(lines, at + 1, size, wanted)
        body = lines[at + 1 : end]
        # Where nothing is taken away the number names the line *before*.
        hunks.append((start + (size == 0), _side(body, "-"), _side(body, "+")))
        at = end
    return at, hunks


def _end(lines: list[str], at: int, old: int, new: int) -> int:
    """Where a hunk ends: told by its counts alone, as a removed line may well read like a header."""
    while at < len(lines) and (old > 0 or new > 0 or lines[at].startswith("\\")):
        old -= lines[at][0] in " -"
        new -= lines[at][0] in " +"
        at += 1
    if old or new:
        raise PatchError(f"the diff is cut short before line {at + 1}")
    return at


def _side(body: list[str], sign: str) -> list[str]:
    """The old or new lines of a hunk, without a last newline where the diff says that there is none."""
    pairs = zip(body, [*body[1:], ""], strict=False)
    return [_text(line, after) for line, after in pairs if line[0] in (" ", sign)]


def _text(line: str, after: str) -> str:
    return line[1:].removesuffix("\n") if after.startswith("\\") else line[1:]


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
