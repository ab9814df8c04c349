"""The line and columns of the person's source from which a torch call was made, read from the stack frames."""

from __future__ import annotations

import os
import sys
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Protocol

import torch

from unstuck.recording.theirs import Theirs
from unstuck.tape.notebook import Notebook
from unstuck.tape.site import Site

TORCH = f"{Path(torch.__file__).parent}{os.sep}"
HANDING_ON = (
    "_tensor.py", "functional.py", "overrides.py", "module.py", "container.py", "activation.py", "batchnorm.py",
    "conv.py", "dropout.py", "instancenorm.py", "linear.py", "loss.py", "normalization.py", "pooling.py", "sparse.py",
)  # fmt: skip
"""Files of torch whose functions and modules give their caller what the last torch call in them gave."""
DEEPEST = 12
"""How many of the person's own frames are kept for one call; recursion beyond that says nothing new."""


class Cells(Protocol):
    """The cells that a kernel has run."""

    book: Notebook

    def line(self, filename: str, line: int) -> int | None:
        """The line of the whole notebook's text; None if the file is no cell."""
        ...


class CallSites:
    """Knows which files are the person's, and turns frames into sites. One per recording."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._theirs = Theirs(folder)
        self._relative: dict[str, str | None] = {}
        self._texts: dict[str, str] = {}
        self._sites: dict[tuple[int, int], tuple[CodeType, Site]] = {}
        self.cells: Cells | None = None
        """The cells of a notebook, where the script is one."""

    def texts(self) -> dict[str, str]:
        """The text of every file of the person's, as it was when first seen, by path relative to the folder."""
        return dict(self._texts)

    def imported(self) -> None:
        """Take in the files of the person's that are imported and of which no frame was seen: constants, settings.

        Outside the script's folder, those beside a file of which a frame was seen.
        """
        beside = [_prefix((self.folder / name).resolve().parent) for name in self._texts]
        for module in list(sys.modules.values()):
            path = getattr(module, "__dict__", {}).get("__file__")
            if isinstance(path, str) and path.endswith(".py") and path.startswith((_prefix(self.folder), *beside)):
                self.relative(path)

    def sites(self, depth: int = 2) -> tuple[Site, ...]:
        """The person's frames from the present call outward, innermost first."""
        return self.outward(sys._getframe(depth))

    def innermost(self, depth: int = 2) -> Site | None:
        """The person's frame nearest to the present call; None where there is none."""
        frame: FrameType | None = sys._getframe(depth)
        while frame is not None and self.relative(frame.f_code.co_filename) is None:
            frame = frame.f_back
        return None if frame is None else self._site(frame)

    def outward(self, frame: FrameType | None) -> tuple[Site, ...]:
        """The person's frames from one outward, innermost first."""
        found: list[Site] = []
        while frame is not None and len(found) < DEEPEST:
            if self.relative(frame.f_code.co_filename) is not None:
                found.append(self._site(frame))
            frame = frame.f_back
        return tuple(found)

    def direct(self, frame: FrameType | None) -> Site | None:
        """The person's line that is given the result of a call as it is; None where a function of a library makes it
        for itself. `frame`: where the call was made."""
        while frame is not None and self.relative(frame.f_code.co_filename) is None:
            file = frame.f_code.co_filename
            if not file.startswith(TORCH) or file.rpartition(os.sep)[2] not in HANDING_ON:
                return None
            frame = frame.f_back
        return next(iter(self.outward(frame)), None)

    def relative(self, filename: str) -> str | None:
        """A file's path relative to the script's folder; None for the files of libraries, and for ours."""
        if self.cells is not None and self.cells.line(filename, 1) is not None:
            return self.cells.book.path
        if filename not in self._relative:
            self._relative[filename] = relative = self._find(filename)
            if relative is not None and (text := _text(filename)) is not None:
                self._texts.setdefault(relative, text)  # the file may change while the script runs
        return self._relative[filename]

    def line(self, filename: str, line: int) -> int:
        """A line of a file; of a notebook's cell, the line of the whole notebook's text."""
        place = self.cells.line(filename, line) if self.cells is not None else None
        return line if place is None else place

    def _find(self, filename: str) -> str | None:
        return None if filename.startswith("<") else self._theirs.relative(Path(filename))

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
        file = self.relative(code.co_filename) or code.co_filename
        line = frame.f_lineno if line == -1 else line
        moved = self.line(code.co_filename, line) - line
        line, end = line + moved, end + moved if end != -1 else end
        return Site(file, line, column, end, last, code.co_qualname)


def _prefix(folder: Path) -> str:
    """What the paths of the files below a folder start with."""
    return f"{str(folder).rstrip(os.sep)}{os.sep}"


def _text(path: str) -> str | None:
    try:
        return Path(path).read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
