"""Start the person's script in a recording child and wait for it: their terminal, their signals, their exit code."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

from unstuck.recording.budget import DEFAULT, Limits
from unstuck.recording.script import Target

TOGETHER = 0.3
"""Signals that come within so many seconds are one: some programs pass a terminal's Ctrl-C on once more."""
GRACE = 3.0
"""Seconds that a script has to end after a second signal, before it is killed."""


def record(
    target: Target,
    tape: Path,
    limits: Limits = DEFAULT,
    meanwhile: Callable[[Callable[[], bool]], object] = lambda over: None,
    meeting: Path | None = None,
    beside: bool = False,
) -> int:
    """Run the target to its end or budget, with the tape written to a folder; the child's return code.

    Ctrl-C and SIGTERM end the script as they would without us; what was recorded until then can be examined. A second
    one raises KeyboardInterrupt. `meanwhile` is called while the child runs, with a function that tells whether it is
    over, in this thread: a thread that is inside torch when Python shuts down ends the process with SIGABRT (torch
    gives the interpreter's lock back in a C++ destructor, and Python ends threads that ask for it then).

    `meeting` is the folder of a run of several processes; `beside`: this one leaves its tape there, for another.
    """
    words = ["-m", target.module] if target.module else [target.name]
    place = [*(("--ranks", str(meeting)) if meeting else ()), *(("--beside",) if beside else ("--out", str(tape)))]
    command = [sys.executable, "-m", "unstuck.recording", *place, *limits.words()]
    with _relayed() as relay:
        code = relay.run(command, ["--", *words, *target.args], meanwhile)
    if not beside and (tape / "tape.json").exists():
        _closed(tape, code, interrupted=bool(relay.came))
    return code


def ending(code: int) -> str:
    """In words, how a child ended that could not say it itself."""
    if code >= 0:
        return f"script ended: exit code {code}, and it skipped Python's own clean-up"
    name = next((s.name for s in signal.Signals if s == -code), str(-code))
    return f"script failed: killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _closed(tape: Path, code: int, interrupted: bool) -> None:
    """Say in the tape what only this process knows: that the script was killed, or interrupted."""
    from unstuck.tape import files

    if files.is_running(tape):
        files.close(tape, "interrupt" if interrupted else "signal", "script ended" if interrupted else ending(code))
    elif interrupted:
        files.close(tape, "interrupt")


class _Relay:
    """Passes signals on to the child, unless it got them itself: from a terminal the whole process group does.

    The child reports every signal that it handles through a pipe (`signal.set_wakeup_fd`).
    """

    def __init__(self) -> None:
        self.came: list[float] = []
        self._child: subprocess.Popen[bytes] | None = None
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)

    def run(self, command: list[str], words: list[str], meanwhile: Callable[[Callable[[], bool]], object]) -> int:
        """The child's return code, after `meanwhile` and its own end."""
        handled = [*command, "--wakeup", str(self._write)] if os.name == "posix" else command
        passed = {"pass_fds": (self._write,)} if os.name == "posix" else {}
        self._child = child = subprocess.Popen([*handled, *words], **passed)  # type: ignore[call-overload]
        try:
            meanwhile(lambda: child.poll() is not None)
            return child.wait()
        except KeyboardInterrupt:
            _ended(child)
            raise

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now, last = time.monotonic(), self.came[-1] if self.came else -TOGETHER
        if self.came and now - last < TOGETHER:
            return
        self.came.append(now)
        child = self._child
        if child is not None and not self._reached(number):
            child.send_signal(number)
        if len(self.came) > 1:
            raise KeyboardInterrupt

    def _reached(self, number: int) -> bool:
        end = time.monotonic() + TOGETHER
        while (left := end - time.monotonic()) > 0 and select.select([self._read], [], [], left)[0]:
            if number in os.read(self._read, 256):
                return True
        return False

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._read)
        os.close(self._write)


def _ended(child: subprocess.Popen[bytes]) -> None:
    """Wait a moment for a child that was told to end, then kill it."""
    with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        child.wait(GRACE)
    child.kill()
    child.wait()


@contextmanager
def _relayed() -> Iterator[_Relay]:
    # A handler in Python (not SIG_IGN, which a child would inherit) leaves the child with the default behaviour.
    relay = _Relay()
    numbers = (n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN)
    before = {number: signal.signal(number, relay) for number in numbers}
    try:
        yield relay
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        relay.close()
