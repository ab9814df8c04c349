"""Where in the person's source a torch call stands: read from the frames, with columns."""

from __future__ import annotations

import sys
import sysconfig
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType

from unstuck.diagnosis.model import Site

_NOT_THEIRS = ("site-packages", "dist-packages", "/lib/python")
DEEPEST = 12
"""How many of the person's own frames are kept for one call; recursion beyond that says nothing new."""


class Whereabouts:
    """Knows which files are the person's, and turns frames into sites. One per recording."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._ours = str(Path(__file__).resolve().parents[1])
        self._library = sysconfig.get_paths()["stdlib"]
        self._theirs: dict[str, str | None] = {}
        self._sites: dict[tuple[int, int], tuple[CodeType, Site]] = {}

    def files(self) -> dict[str, str]:
        """Path relative to the folder -> absolute path, for every file of the person's seen so far."""
        return {relative: absolute for absolute, relative in self._theirs.items() if relative is not None}

    def sites(self, depth: int = 2) -> tuple[Site, ...]:
        """The person's frames from the present call outward, innermost first."""
        found: list[Site] = []
        frame: FrameType | None = sys._getframe(depth)
        while frame is not None and len(found) < DEEPEST:
            if self.theirs(frame.f_code.co_filename) is not None:
                found.append(self._site(frame))
            frame = frame.f_back
        return tuple(found)

    def theirs(self, filename: str) -> str | None:
        """A file's path relative to the person's folder; None for the library's files, and for ours."""
        if filename not in self._theirs:
            self._theirs[filename] = self._relative(filename)
        return self._theirs[filename]

    def _relative(self, filename: str) -> str | None:
        if filename.startswith("<"):
            return None
        path = Path(filename).resolve()
        text = str(path)
        if text.startswith((self._ours, self._library)) or any(part in text for part in _NOT_THEIRS):
            return None
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else None

    def _site(self, frame: FrameType) -> Site:
        # The key holds the code object alive beside its id, so that the id cannot be given to another.
        key = (id(frame.f_code), frame.f_lasti)
        if key not in self._sites:
            self._sites[key] = (frame.f_code, self._read(frame))
        return self._sites[key][1]

    def _read(self, frame: FrameType) -> Site:
        code = frame.f_code
        at = next(islice(code.co_positions(), frame.f_lasti // 2, None), (None,) * 4)
        line, end, column, last = (-1 if part is None else part for part in at)
        file = self.theirs(code.co_filename) or code.co_filename
        line = frame.f_lineno if line == -1 else line
        return Site(file, line, column, end, last, code.co_qualname)
