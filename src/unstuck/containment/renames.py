"""Renames that an overlay refuses (EXDEV), made by copying where the person's own file system would not refuse them.

An overlay in a user namespace cannot rename a folder of the lower layer, and folders that were one file system may be
several overlays (`mounts`). The commands of a shell copy for themselves.
"""

from __future__ import annotations

import errno
import functools
import os
import posix
import shutil
import stat
from collections.abc import Callable, Iterable
from typing import Any


def install(mounted: Iterable[str]) -> None:
    """Replace os.rename and os.replace. `mounted` are the points where file systems of the person are mounted."""
    points = tuple(sorted(mounted, key=len, reverse=True))
    for name in ("rename", "replace"):
        new = _copying(getattr(os, name), points)
        for module in (os, posix):
            setattr(module, name, new)


def _copying(old: Callable[..., None], points: tuple[str, ...]) -> Callable[..., None]:
    @functools.wraps(old)
    def rename(src: Any, dst: Any, **kwargs: Any) -> None:
        try:
            return old(src, dst, **kwargs)
        except OSError as error:
            named = not any(v is not None for v in kwargs.values())
            if error.errno != errno.EXDEV or not named or _mount(src, points) != _mount(dst, points):
                raise
        beside = os.fsdecode(dst).rstrip("/") + ".unstuck"
        if stat.S_ISDIR(os.lstat(src).st_mode):
            shutil.copytree(os.fsdecode(src), beside, symlinks=True)
            old(beside, dst)
            return shutil.rmtree(src)
        shutil.copy2(os.fsdecode(src), beside, follow_symlinks=False)
        old(beside, dst)
        return os.unlink(src)

    return rename


def _mount(path: Any, points: tuple[str, ...]) -> str:
    """The mount point that the folder of a path is below."""
    folder = os.path.dirname(os.path.realpath(os.path.dirname(os.path.abspath(os.fsdecode(path)))) + "/")
    return next((p for p in points if folder == p or folder.startswith(p.rstrip("/") + "/")), "/")
