"""What a process that ends at once leaves behind: the tape so far, written now and then while the script runs.

A kill, a crash in C++ or `os._exit` skips every clean-up of Python's. A snapshot is written in the script's own thread:
another thread could be seen by it, and would make a fork dangerous. So it waits until its cost is a small share of the
time that has passed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from unstuck.tape.files import Journal
from unstuck.tape.model import Tape

FIRST = 1.0
"""Seconds of training before the first snapshot; each of the next comes after twice the time of the one before."""
SHARE = 0.02
"""A snapshot may cost this share of the time that has passed."""
AGAIN = 1.25
"""One that would cost more is put off until this many times the time has passed."""
PER_ITEM, PER_TENSOR, PER_BYTE = 12e-6, 12e-6, 1 / 500e6
"""Seconds to write a step or an evaluation, a tensor, and a byte of it. An estimate, which a busy machine does not
change."""


class Size(NamedTuple):
    """How large a tape is."""

    items: int
    """Steps and evaluations: all are written again."""
    tensors: int
    bytes: int
    """Of these tensors: they are written once."""
    weights: int
    """Bytes of the weights, which are written again."""


class Snapshots:
    """Writes `tape()` into a folder when that is due."""

    def __init__(self, folder: Path, tape: Callable[[], Tape], size: Callable[[], Size]) -> None:
        self._journal, self._tape, self._size = Journal(folder), tape, size
        self._due, self._process = FIRST, os.getpid()
        self._written = Size(0, 0, 0, 0)

    def look(self, passed: float) -> None:
        """Write one if that is due, `passed` seconds after the first backward."""
        if passed < self._due or os.getpid() != self._process:
            return
        size = self._size()
        if self._cost(size) > SHARE * passed:
            self._due = AGAIN * passed
            return
        self.write()
        self._written, self._due = size, 2 * passed

    def write(self) -> None:
        """Write one now."""
        self._journal.write(self._tape())

    def _cost(self, size: Size) -> float:
        """Seconds that the next one will probably take."""
        tensors, fresh = size.tensors - self._written.tensors, size.bytes - self._written.bytes
        return PER_ITEM * size.items + PER_TENSOR * tensors + PER_BYTE * (fresh + size.weights)
