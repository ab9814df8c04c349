"""How the recording child's tape reaches the disk, however its script ends."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from unstuck.recording.recorder import Recorder
from unstuck.recording.snapshots import Snapshots
from unstuck.tape.files import RUNNING, save
from unstuck.tape.model import Command, Tape

REPLACED = "script ended: it replaced its process by another program, which was not recorded"


class Keeping:
    """Writes the tape once, at the end; until then, snapshots. `os._exit` and `os.exec` are ends too.

    `finish` adds to the whole tape what other processes of the run have recorded.
    """

    def __init__(
        self,
        recorder: Recorder,
        out: Path,
        script: str,
        command: Callable[[], Command],
        finish: Callable[[Tape], Tape] = lambda tape: tape,
    ) -> None:
        self._recorder, self._out, self._script, self._command = recorder, out, script, command
        self._finish = finish
        self._process, self._over = os.getpid(), False
        self._originals: dict[str, Callable[..., Any]] = {}
        recorder.snapshots = Snapshots(out, self._now, recorder.observed.size)

    def attach(self) -> None:
        """Be there when the process ends without Python's clean-up."""
        self._wrap("_exit", lambda: self.end({}))
        for name in ("execv", "execve"):
            self._wrap(name, self._replaced)

    def end(self, failure: dict[str, Any]) -> None:
        """The script is over: write the tape. `failure` as `failure.described` gives it."""
        if self._over or os.getpid() != self._process:
            return
        self._over = True
        for name, original in self._originals.items():
            setattr(os, name, original)
        stopped = self._recorder.budget.spent or ("script failed: " + failure["line"] if failure else "script ended")
        try:
            self._recorder.detach()
            save(self._finish(self._tape(stopped, failure or None)), self._out)
        except Exception as error:
            print(f"unstuck: the tape could not be written: {error}", file=sys.stderr)
            if os.environ.get("UNSTUCK_DEBUG"):
                traceback.print_exc()

    def _tape(self, stopped: str, error: dict[str, Any] | None = None) -> Tape:
        tape = self._recorder.tape(self._script, stopped, error, self._command())
        if error and error.get("type") == "KeyboardInterrupt":
            tape.facts = msgspec.structs.replace(tape.facts, cut_by="interrupt", command=self._reached(tape))
        return tape

    def _reached(self, tape: Tape) -> Command:
        """The command with what was reached as its budget: a patched script has to go no further."""
        command = self._command()
        return msgspec.structs.replace(command, least=tape.steps, seconds=min(command.seconds, max(1.0, tape.seconds)))

    def _now(self) -> Tape:
        return self._tape(RUNNING)

    def _replaced(self) -> None:
        if not self._over and os.getpid() == self._process:
            save(self._tape(REPLACED), self._out)

    def _wrap(self, name: str, before: Callable[[], None]) -> None:
        original = self._originals[name] = getattr(os, name)

        def ours(*args: Any, **kwargs: Any) -> Any:
            with suppress(Exception):
                before()
            return original(*args, **kwargs)

        ours.__name__, ours.__qualname__, ours.__doc__ = original.__name__, original.__qualname__, original.__doc__
        ours.__module__ = "os"
        setattr(os, name, ours)
