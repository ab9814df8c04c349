"""The lines with numbers that the script prints, in their order among its steps.

The stream stays the very object that it was; only its `write` is looked up on the way, and taken away at the end.
"""

from __future__ import annotations

import io
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from unstuck.tape.site import Site

LINES = 600
"""The last lines kept."""
LONGEST = 400
"""Characters kept of each line."""


class StdoutTap:
    """Reads along with `sys.stdout` of this process; `printed` gets each line that holds a digit, once it is whole."""

    def __init__(self, printed: Callable[[str], None], failed: Callable[[Exception], None]) -> None:
        self._printed, self._failed = printed, failed
        self._stream: Any = None
        self._rest = ""
        self._process, self._thread = os.getpid(), threading.get_ident()

    def attach(self) -> None:
        """Begin to read along, if stdout is the interpreter's own kind of stream."""
        stream = sys.stdout
        if type(stream) is not io.TextIOWrapper or "write" in vars(stream):
            return
        original = stream.write

        def write(text: str, /) -> int:
            count = original(text)
            self._read(text)
            return count

        stream.write = write  # type: ignore[method-assign]
        self._stream = stream

    def detach(self) -> None:
        """Leave the stream as it was; a line that was begun is over."""
        if self._stream is not None:
            self._read("\n" if self._rest else "")
            vars(self._stream).pop("write", None)
            self._stream = None

    def _read(self, text: str) -> None:
        if os.getpid() != self._process or threading.get_ident() != self._thread:
            return
        try:
            *lines, self._rest = (self._rest + text[-65536:]).split("\n")
            self._rest = self._rest[-LONGEST:]
            for line in lines:
                last = line.rpartition("\r")[2]  # a progress bar writes over what it wrote
                if any(c.isdigit() for c in last):
                    self._printed(last[:LONGEST])
        except Exception as error:
            self._failed(error)


class PrintedLines:
    """Lines with their places: how many passes, and how many forwards that no backward followed, came before each."""

    def __init__(self) -> None:
        self.lines: deque[tuple[int, int, int, str, Site | None, int]] = deque(maxlen=LINES)
        self._waiting: deque[tuple[int, str, Site | None, int]] = deque(maxlen=LINES)

    def add(self, calls: int, line: str, sites: tuple[Site, ...], left: int = -1) -> None:
        """A line, printed after so many calls of the step that is under way, and the frames that printed it.

        `left`: how many numbers had left tensors before it.
        """
        self._waiting.append((calls, line, sites[0] if sites else None, left))

    def place(self, passes: int, ended: list[tuple[int, bool]], kept: int, seen: int) -> None:
        """The step is over: `ended` tells after how many of its calls each forward was whole, and if it was kept.

        `seen` below 0: nobody counts the forwards any more.
        """
        for calls, line, site, left in self._waiting:
            before = [on_tape for end, on_tape in ended if end <= calls]
            counted = -1 if seen < 0 else seen + len(before)
            self.lines.append((passes, kept + sum(before), counted, line, site, left))
        self._waiting.clear()
