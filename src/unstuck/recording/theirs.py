"""Which files are the person's: those that belong to no installation of Python or of a package, and not to us.

A script in `projects/adder/` that imports a package beside `projects/` (by PYTHONPATH, `pip install -e`, or a path that
it appends) has code of the person's outside its own folder.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from functools import cache
from pathlib import Path

import torch

_INSTALLED = ("site-packages", "dist-packages", "/lib/python")


class Theirs:
    """Names the person's files by their path relative to the script's folder; `../` leads out of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def relative(self, file: Path) -> str | None:
        """The path of a file of code, with the system's separators; None if it is not the person's."""
        path = file.resolve()
        if _library(str(path)):
            return None
        if path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return None if _root(path) in _package_folders() else self._outward(path)

    def setting(self, file: Path) -> str | None:
        """The path of a file of settings: below the script's folder, the working folder, or one that is imported from.

        What lies in a hidden folder belongs to a tool: to a cache, an editor, a version control.
        """
        path = file.resolve()
        if path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        roots = (Path.cwd(), *(Path(entry).resolve() for entry in sys.path if entry))
        root = next((root for root in roots if path.is_relative_to(root) and root not in _package_folders()), None)
        hidden = root is None or any(part.startswith(".") for part in path.relative_to(root).parts[:-1])
        return None if hidden or _library(str(path)) else self._outward(path)

    def _outward(self, path: Path) -> str | None:
        try:
            return os.path.relpath(path, self.folder)
        except ValueError:  # on another drive
            return None


@cache
def _libraries() -> tuple[str, ...]:
    """Folders of Python, its scripts, torch (which may be built in place) and ours, with a separator at their ends."""
    paths = (sysconfig.get_path("stdlib"), sysconfig.get_path("scripts"), torch.__path__[0], _ours())
    return tuple(f"{Path(path).resolve()}{os.sep}" for path in paths if path)


def _ours() -> str:
    return str(Path(__file__).resolve().parents[1])


def _library(path: str) -> bool:
    return path.startswith(_libraries()) or any(part in path for part in _INSTALLED)


def _root(path: Path) -> Path | None:
    """The innermost folder on the search path that holds a file."""
    entries = (Path(entry).resolve() for entry in sys.path if entry)
    return max((e for e in entries if path.is_relative_to(e)), key=lambda e: len(e.parts), default=None)


def _package_folders() -> frozenset[Path]:
    """Folders on the search path into which packages were installed (`pip install --target`)."""
    return frozenset(Path(entry).resolve() for entry in sys.path if entry and _installs(entry))


@cache
def _installs(entry: str) -> bool:
    return next(Path(entry).glob("*.dist-info"), None) is not None
