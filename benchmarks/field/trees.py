"""The files of a folder by their hashes, and what a run changed that another did not."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

Tree = dict[str, str]
"""Relative path to the hash of the file's content."""


def tree(root: Path) -> Tree:
    """Every file below the folder but Python's compiled ones."""
    files = (p for p in sorted(root.rglob("*")) if p.is_file() and "__pycache__" not in p.parts)
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def added(plain: Tree, under: Tree) -> list[str]:
    """Files that only the second run left, numbers in names aside: a log is named after the time and the process."""
    known = {_nameless(path) for path in plain}
    return [path for path in under if _nameless(path) not in known]


def touched(before: Tree, plain: Tree, under: Tree) -> list[str]:
    """Files that were there before, which the second run changed or removed and the first did not."""
    kept = (path for path, digest in before.items() if plain.get(path) == digest)
    return [path for path in kept if under.get(path) != before[path]]


def unequal(plain: Tree, under: Tree) -> list[str]:
    """Files that both left with other content; expected where a run is cut, not seeded or writes the time."""
    return [path for path in plain if path in under and plain[path] != under[path]]


def _nameless(path: str) -> str:
    return re.sub(r"\d+", "0", path)
