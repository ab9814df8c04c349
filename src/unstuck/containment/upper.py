"""The beginning of an overlay's upper folder.

What belongs to a user or a group that has no number in our namespace cannot be copied up when it is written to
(EOVERFLOW in `ovl_copy_up_one`): /var/tmp, /data on the way to /data/users/me, the files of a group's project. What is
in the upper folder from the start need not be copied up, so such folders are made there, and files of a project copied.
"""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress

from unstuck.containment import kernel

LOOKED, TIME = 2000, 0.05
"""Folders of others that are looked into per overlay, shallow ones first, and seconds: a network drive may be slow."""
DEPTH = 4
"""Levels of other people's folders above one's own."""
SMALL, TOGETHER = 64 << 20, 512 << 20
"""Bytes of a file of a group that is copied, and of all of them."""


def begin(path: str, upper: str, likely: Iterable[str]) -> None:
    """Make the upper folder for a lower one. `likely` are folders in which the script will probably write."""
    if kernel.in_user_namespace():
        start = path.rstrip("/") + "/"
        ways = [place[len(start) :].split("/") for place in likely if place.startswith(start)]
        for way in (*ways, *_ways(path)):
            _make(path, upper, way)
        for way in ways:
            _fill(os.path.join(path, *way), os.path.join(upper, *way))
    os.chmod(upper, mode(path))


def mode(path: str) -> int:
    """The mode of a folder whose copy is ours, so that we may do what we may do in the original."""
    ours = sum(bit for bit in (4, 2, 1) if os.access(path, bit))
    return os.stat(path).st_mode & 0o7077 | ours << 6


def _make(path: str, upper: str, way: list[str]) -> None:
    """Make the folders of others on one way, and those between them."""
    parts = [os.path.join(*way[:n]) for n in range(1, len(way) + 1)]
    real = [p for p in parts if os.path.isdir(os.path.join(path, p)) and not os.path.islink(os.path.join(path, p))]
    last = max((n for n, part in enumerate(real) if _foreign(os.path.join(path, part))), default=-1)
    for part in real[: last + 1] if real == parts[: len(real)] else ():
        with suppress(FileExistsError):
            os.mkdir(os.path.join(upper, part))
            os.chmod(os.path.join(upper, part), mode(os.path.join(path, part)))


def _fill(path: str, upper: str) -> None:
    """Copy a folder of a group, in which we may write, without its large files."""
    seen = size = 0
    queue = deque([""] if _shared(path) and os.path.isdir(upper) else [])
    while queue and seen < LOOKED:
        folder = queue.popleft()
        for entry in os.scandir(os.path.join(path, folder)):
            name, found = os.path.join(folder, entry.name), entry.stat(follow_symlinks=False)
            seen += 1
            if not _shared(entry.path) or os.path.lexists(os.path.join(upper, name)):
                continue
            if entry.is_dir(follow_symlinks=False):
                os.mkdir(os.path.join(upper, name))
                os.chmod(os.path.join(upper, name), mode(entry.path))
                queue.append(name)
            elif entry.is_file(follow_symlinks=False) and found.st_size <= min(SMALL, TOGETHER - size):
                shutil.copy2(entry.path, os.path.join(upper, name))
                size += found.st_size


def _shared(path: str) -> bool:
    """Whether it is a group's that we may write to; not /tmp and its like, in which everybody may."""
    return _foreign(path) and os.access(path, os.W_OK) and not os.stat(path).st_mode & stat.S_ISVTX


def _ways(path: str) -> Iterator[list[str]]:
    """Ways through folders of others to those that are ours, or that we may write to."""
    until, seen = time.monotonic() + TIME, 0
    queue: deque[list[str]] = deque([[]])
    while queue and seen < LOOKED and time.monotonic() < until:
        way = queue.popleft()
        for name in _folders(os.path.join(path, *way)):
            seen += 1
            one = os.path.join(path, *way, name)
            if not _foreign(one) or os.access(one, os.W_OK):
                yield [*way, name]
            if _foreign(one) and len(way) + 1 < DEPTH:
                queue.append([*way, name])


def _folders(path: str) -> list[str]:
    with suppress(OSError), os.scandir(path) as entries:
        return [e.name for e in entries if e.is_dir(follow_symlinks=False)]
    return []


def _foreign(path: str) -> bool:
    with suppress(OSError):
        found = os.stat(path)
        return (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid())
    return False
