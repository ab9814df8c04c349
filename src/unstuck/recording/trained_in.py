"""The person's functions that were on the stack of some backward: the others did not train, whatever they hold."""

from __future__ import annotations

import sys
from types import CodeType, FrameType

from unstuck.recording.call_sites import CallSites


class TrainedIn:
    """Gathers them: `look` at each backward, `found` in the end."""

    def __init__(self, call_sites: CallSites) -> None:
        self._call_sites = call_sites
        self._codes: dict[int, CodeType] = {}
        """By identity: a code object's own hash is worked out anew at each asking."""

    def look(self) -> None:
        """A backward is called from here."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None:
            self._codes.setdefault(id(frame.f_code), frame.f_code)
            frame = frame.f_back

    def found(self) -> tuple[tuple[str, str], ...]:
        """The file and the qualified name of each that is the person's."""
        files = ((self._call_sites.relative(code.co_filename), code.co_qualname) for code in self._codes.values())
        return tuple(sorted({(file, name) for file, name in files if file is not None}))
