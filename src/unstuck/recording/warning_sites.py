"""Warnings that torch gives under our frames are shown at the line of the person's call, as without us.

A warning names the innermost Python frame, and under a function mode that frame is ours. Such a one is given again with
the frame that would have been there, through that module's own filters and memory of what it was told already.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any

import torch

from unstuck.recording.launch import OURS
from unstuck.recording.slicing import name_of

OVERRIDES = "/torch/overrides.py"
"""The file in which a torch function passes itself to a mode; the frame outside is that function's, entered twice."""


class WarningSites:
    """Stands in for `warnings.showwarning` while it is attached."""

    def __init__(self) -> None:
        self._original: Any = None
        self._ours: Any = None

    def attach(self) -> None:
        """Begin to look at warnings."""
        name_of(torch.add)  # its first call resets the memory of all modules: better here than amid the run
        self._original = warnings.showwarning
        self._ours = warnings.showwarning = self._show  # type: ignore[method-assign,assignment]

    def detach(self) -> None:
        """Leave things as they were; somebody else's stand-in stays."""
        if warnings.showwarning is self._ours:
            warnings.showwarning = self._original

    def _show(
        self, message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: str | None = None
    ) -> None:
        frame = _outside(sys._getframe(1)) if filename.startswith(OURS) else None
        if frame is None:
            self._original(message, category, filename, lineno, file, line)
            return
        registry = frame.f_globals.setdefault("__warningregistry__", {})
        name = frame.f_globals.get("__name__") or "<string>"
        warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, name, registry)


def _outside(frame: FrameType | None) -> FrameType | None:
    """The frame that would be the innermost without us; ours forget what they have warned of."""
    met = False
    while frame is not None:
        ours = frame.f_code.co_filename.startswith(OURS)
        if met and not ours:
            return _twice(frame)
        if ours:
            met = True
            frame.f_globals.get("__warningregistry__", {}).clear()
        frame = frame.f_back
    return None


def _twice(frame: FrameType) -> FrameType:
    """The frame outside the torch function that passed itself to our mode: within the mode it runs once more."""
    if not frame.f_code.co_filename.endswith(OVERRIDES) or frame.f_back is None or frame.f_back.f_back is None:
        return frame
    return frame.f_back.f_back
