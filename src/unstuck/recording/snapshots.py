"""What a process that ends at once leaves behind: the tape so far, written now and then while the script runs.

A kill, a crash in C++ or `os._exit` skips every clean-up of Python's. A snapshot is written in the script's own thread:
another thread could be seen by it, and would make a fork dangerous. So it waits until its cost is a small share of the
time that has passed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from unstuck.tape.files import Journal
from unstuck.tape.model import Tape

FIRST = 1.0
"""Seconds of training before the first snapshot; each of the next comes after twice the time of the one before."""
SHARE = 0.01
"""A snapshot may cost this share of the time that has passed."""
AGAIN = 1.25
"""One that would cost more is put off until this many times the time has passed."""
PER_ITEM, PER_BYTE = 25e-6, 1 / 400e6
"""Seconds to write a step or an evaluation, and a byte of its tensors: for the first estimate."""


class Snapshots:
    """Writes `tape()` into a folder when that is due. `size` tells its items, and the bytes of its tensors."""

    def __init__(self, folder: Path, tape: Callable[[], Tape], size: Callable[[], tuple[int, int]]) -> None:
        self._journal, self._tape, self._size = Journal(folder), tape, size
        self._due, self._process = FIRST, os.getpid()
        self._seconds, self._at = 0.0, 0.0
        """What the last one cost, and how much time had passed before it."""

    def look(self, passed: float) -> None:
        """Write one if that is due, `passed` seconds after the first backward."""
        if passed < self._due or os.getpid() != self._process:
            return
        if self._cost(passed) > SHARE * passed:
            self._due = AGAIN * passed
            return
        began = time.thread_time()  # the work itself, however busy the machine is
        self.write()
        self._seconds, self._at = time.thread_time() - began, passed
        self._due = 2 * passed

    def write(self) -> None:
        """Write one now."""
        self._journal.write(self._tape())

    def _cost(self, passed: float) -> float:
        """Seconds that the next one will probably take."""
        if self._at:
            return self._seconds * passed / self._at
        items, size = self._size()
        return PER_ITEM * items + PER_BYTE * size
