"""Apply a unified diff to texts, as `git apply` and `patch` do: exact lines, at the place given or a moved one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
NOTHING = "/dev/null"
Read = Callable[[str], str | None]
"""The text of a file by its path in the diff; None where there is none."""


class CannotPatch(Exception):
    """The diff does not apply; the message is one line."""


@dataclass(frozen=True)
class Hunk:
    """Lines that give way to others; each line with its ending."""

    start: int
    """1-based line of the old text, as the diff says it."""
    old: tuple[str, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class FileDiff:
    """The hunks of one file."""

    path: str
    created: bool
    hunks: tuple[Hunk, ...]


def patched(diff: str, read: Read) -> dict[str, str]:
    """The new texts of the files that a diff changes. Raises CannotPatch."""
    files = list(parsed(diff))
    if not files:
        raise CannotPatch("no unified diff (--- a/file, +++ b/file, @@ ... @@)")
    new: dict[str, str] = {}
    for file in files:
        text = new.get(file.path, "" if file.created else read(file.path))
        if text is None:
            raise CannotPatch(f"{file.path}: no such file")
        new[file.path] = _applied(file, text)
    return new


def parsed(diff: str) -> Iterator[FileDiff]:
    """The files of a diff. Raises CannotPatch where it removes a file."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", diff)
    at = 0
    while at < len(lines):
        if not (lines[at].startswith("--- ") and lines[at + 1 : at + 2] and lines[at + 1].startswith("+++ ")):
            at += 1
            continue
        old, new = _path(lines[at]), _path(lines[at + 1])
        if new == NOTHING:
            raise CannotPatch(f"{old}: a diff that removes a file is not applied")
        at, hunks = _hunks(lines, at + 2)
        yield FileDiff(_plain(new), old == NOTHING, tuple(hunks))


def _path(line: str) -> str:
    return line[4:].rstrip("\r\n").split("\t")[0].strip()


def _plain(path: str) -> str:
    return path[2:] if path.startswith(("a/", "b/")) else path.removeprefix("./")


def _hunks(lines: list[str], at: int) -> tuple[int, list[Hunk]]:
    hunks: list[Hunk] = []
    while at < len(lines) and (head := HUNK.match(lines[at])):
        wanted = tuple(int(n) if n is not None else 1 for n in (head[2], head[4]))
        at, old, new = _sides(lines, at + 1, wanted)
        hunks.append(Hunk(int(head[1]), tuple(old), tuple(new)))
    return at, hunks


def _sides(lines: list[str], at: int, wanted: tuple[int, ...]) -> tuple[int, list[str], list[str]]:
    """Old and new lines of a hunk. Its counts end it; where they are wrong, as in a diff by hand, the next header."""
    old: list[str] = []
    new: list[str] = []
    last: tuple[list[str], ...] = ()
    while at < len(lines) and not _over(lines, at, (len(old), len(new)), wanted):
        mark, rest = lines[at][:1], lines[at][1:]
        if mark == "\\":  # no newline at the end of the line before
            for side in last:
                side[-1] = side[-1].rstrip("\r\n")
        else:
            last = (old,) if mark == "-" else (new,) if mark == "+" else (old, new)
            for side in last:
                side.append(rest if mark in "+- " else lines[at])
        at += 1
    return at, old, new


def _over(lines: list[str], at: int, have: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    line, after = lines[at], lines[at + 1] if at + 1 < len(lines) else ""
    if line[0] not in "+- \\\r\n" or line.startswith("@@"):
        return True
    if line.startswith("--- ") and after.startswith("+++ "):
        return have >= wanted or after.startswith("+++ b/")
    return have == wanted and line[0] not in "+-\\"


def _applied(file: FileDiff, text: str) -> str:
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    shift = 0
    for hunk in file.hunks:
        near = max(0, hunk.start - 1 + shift)
        at = _found(lines, hunk, near)
        while at is None and _blank(hunk):  # lines after the end of a diff by hand
            hunk = Hunk(hunk.start, hunk.old[:-1], hunk.new[:-1])
            at = _found(lines, hunk, near)
        if at is None:
            raise CannotPatch(f"{file.path}: the diff does not fit at line {hunk.start}")
        new = _ended(hunk.new, lines[at : at + len(hunk.old)])
        lines[at : at + len(hunk.old)] = new
        shift += len(hunk.new) - len(hunk.old)
    return "".join(lines)


def _blank(hunk: Hunk) -> bool:
    return bool(hunk.old and hunk.new) and not hunk.old[-1].strip() and not hunk.new[-1].strip()


def _found(lines: list[str], hunk: Hunk, near: int) -> int | None:
    """Where the old lines stand, nearest to where they should."""
    wanted = [line.rstrip("\r\n") for line in hunk.old]
    if not wanted:
        return min(near + (1 if hunk.start else 0), len(lines))
    bare = [line.rstrip("\r\n") for line in lines]
    fits = (at for at in range(len(bare) - len(wanted) + 1) if bare[at : at + len(wanted)] == wanted)
    return min(fits, key=lambda at: abs(at - near), default=None)


def _ended(new: tuple[str, ...], old: list[str]) -> list[str]:
    """The new lines with the file's own line endings."""
    carriage = any(line.endswith("\r\n") for line in old)
    return [f"{line.rstrip(chr(13) + chr(10))}\r\n" if carriage and line.endswith("\n") else line for line in new]
