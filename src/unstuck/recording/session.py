"""Start the person's script in a recording child and wait for it: their terminal, their signals, their exit code."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from unstuck.recording.budget import DEFAULT, Limits
from unstuck.recording.script import Target


def record(
    target: Target,
    tape: Path,
    limits: Limits = DEFAULT,
    meanwhile: Callable[[], object] = lambda: None,
) -> int:
    """Run the target to its end or budget, with the tape written to a folder; the child's return code.

    Ctrl-C reaches the child as it would without us (we are in one process group); here it is only waited out, so that
    what was recorded until then can be examined. `meanwhile` is called while the child runs, in this thread: a thread
    that is inside torch when Python shuts down ends the process with SIGABRT (torch gives the interpreter's lock back
    in a C++ destructor, and Python ends threads that ask for it then).
    """
    words = ["-m", target.module] if target.module else [target.name]
    command = [
        sys.executable,
        "-m",
        "unstuck.recording",
        "--out",
        str(tape),
        *limits.words(),
        "--",
        *words,
        *target.args,
    ]
    with _signals_waited_out() as running:
        running.append(subprocess.Popen(command))
        meanwhile()
        return running[0].wait()


def ending(code: int) -> str:
    """In words, how a child ended that left no tape."""
    if code >= 0:
        return f"script ended: exit code {code}, and it skipped Python's own clean-up"
    name = next((s.name for s in signal.Signals if s == -code), str(-code))
    return f"script failed: killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


@contextmanager
def _signals_waited_out() -> Iterator[list[subprocess.Popen[bytes]]]:
    # A handler in Python (not SIG_IGN, which a child would inherit) leaves the child with the default behaviour.
    # SIGTERM was sent to us alone: pass it on.
    running: list[subprocess.Popen[bytes]] = []
    handlers = {signal.SIGINT: lambda *_: None, signal.SIGTERM: lambda *_: [child.terminate() for child in running]}
    before = {s: signal.signal(s, h) for s, h in handlers.items() if signal.getsignal(s) is not signal.SIG_IGN}
    try:
        yield running
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
