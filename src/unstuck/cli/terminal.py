"""What the verbs share: exit codes, one-line messages, files, and the width and colour of a stream."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

WELL, SICK, MISUSED, UNSAID = 0, 1, 2, 3
INTERRUPTED = 130
"""As shells say it of Ctrl-C."""


def written(path: Path, text: str) -> bool:
    """Write a file; False, with a message, if that fails."""
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        told(f"{path} could not be written: {error.strerror}", MISUSED)
        return False
    return True


def told(line: str, code: int) -> int:
    """Print one line to stderr; returns the exit code."""
    print(f"unstuck: {line}", file=sys.stderr)
    return code


def paper(stream: TextIO) -> dict[str, Any]:
    """Width and colour for text on this stream, and whether it is limited to ASCII."""
    terminal = stream.isatty()
    return {
        "width": min(shutil.get_terminal_size((100, 24)).columns, 120) if terminal else 100,
        "colour": terminal and "NO_COLOR" not in os.environ,
        "ascii": not (stream.encoding or "").lower().startswith("utf"),
    }


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """A status line on stderr; nothing if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True).status("examining the tape") as status:
        yield status.update


class _Lines:
    """Progress for a file or a pipe: a line every EVERY seconds, with the share done and the time left."""

    EVERY = 20.0
    """Seconds."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def __call__(self, share: float, what: str) -> None:
        now = time.monotonic()
        if now - self.last < self.EVERY or not 0 < share < 1:
            return
        self.last = now
        left = (now - self.began) * (1 - share) / share
        print(f"unstuck: {100 * share:.0f} % done, about {left:.0f} s left: {what}", file=sys.stderr, flush=True)


@contextmanager
def bar() -> Iterator[Callable[[float, str], None]]:
    """A progress bar on stderr; a line every 20 seconds if stderr is not a terminal."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    parts = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), "left", TimeRemainingColumn())
    with Progress(*parts, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("starting", total=1.0)
        yield lambda share, what: shown.update(task, completed=share, description=what)
