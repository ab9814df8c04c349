"""The small settings files of the person's that the run opens for reading, with their text at that moment.

An audit hook (PEP 578) sees every way of opening a file and changes nothing. It cannot be removed again, so there is
one for the process, which does nothing while nobody listens.
"""

from __future__ import annotations

import os
import sys
import weakref
from pathlib import Path
from typing import Any

from unstuck.recording.theirs import Theirs
from unstuck.tape.settings import is_settings

LARGEST = 64 * 1024
"""Bytes of a file that people write by hand."""
MOST = 50
"""Files kept."""

_listening: weakref.WeakSet[SettingsRead] = weakref.WeakSet()
_hooked = False


class SettingsRead:
    """Texts of settings files, by path relative to the script's folder."""

    def __init__(self, folder: Path) -> None:
        self._theirs = Theirs(folder)
        self.texts: dict[str, str] = {}
        self._busy = False

    def attach(self) -> None:
        """Begin to listen."""
        global _hooked
        _listening.add(self)
        if not _hooked:
            sys.addaudithook(_audited)
            _hooked = True

    def detach(self) -> None:
        """Stop listening."""
        _listening.discard(self)

    def opened(self, path: str) -> None:
        """A file is about to be opened for reading."""
        if self._busy or len(self.texts) >= MOST:
            return
        self._busy = True
        try:
            found = Path(path).resolve()
            name = self._theirs.setting(found)
            if name is not None and found.stat().st_size <= LARGEST:
                self.texts.setdefault(name, found.read_bytes().decode("utf-8"))
        except (OSError, UnicodeDecodeError, ValueError):
            return  # what cannot be read is not theirs to edit
        finally:
            self._busy = False


def _audited(event: str, args: Any) -> None:
    if event != "open" or not _listening:
        return
    path, mode, flags = args
    try:
        path = os.fspath(path)
    except TypeError:  # a file descriptor
        return
    if isinstance(path, str) and is_settings(path) and not _writes(mode, flags):
        for listener in list(_listening):
            listener.opened(path)


def _writes(mode: Any, flags: Any) -> bool:
    written = isinstance(mode, str) and any(letter in mode for letter in "wax+")
    return written or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)))
