"""A look at a long run while it trains: one line with the first suspicion, at most once an hour.

The recording so far is examined in a process of its own with a small budget. The training waits only while the
recording is written to disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from unstuck.integrations.watching import watch

FIRST, EVERY = 60.0, 3600.0
"""Seconds of training before the first look, and between two looks."""


class Suspicion(UserWarning):
    """What a look at the running training found."""


def warned(line: str) -> None:
    """Warn once per place, whatever filters the framework sets."""
    warnings.warn(line, Suspicion, stacklevel=2)


class LightWatch:
    """Looks at a `watch` that is recording. Call `step` after every training step; `close` at the end."""

    def __init__(
        self,
        run: watch,
        say: Callable[[str], object] = warned,
        first: float = FIRST,
        every: float = EVERY,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run, self._say, self._every, self._clock = run, say, every, clock
        self._due = clock() + first
        self._child: subprocess.Popen[Any] | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def step(self) -> None:
        """Begin a look that is due, or tell what the last one found. Raises nothing."""
        try:
            if self._child is not None:
                self._told()
            elif self._clock() >= self._due:
                self._due = self._clock() + self._every
                self._begin()
        except Exception as error:  # a look that fails must not end the training
            self._end()
            self._due = float("inf")
            self._say(f"unstuck: the run is not watched any more: {type(error).__name__}: {error}")

    def close(self) -> None:
        """End a look that still runs."""
        if self._child is not None and self._child.poll() is None:
            self._child.kill()
            self._child.wait()
        self._end()

    def _begin(self) -> None:
        scratch = self._scratch = tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True)
        tape = Path(scratch.name) / "tape"
        if not self._run.so_far(tape):
            return self._end()
        words = ["prove", "--quiet", "--effort", "quick", "--json", str(self._result()), str(tape)]
        quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        self._child = subprocess.Popen([sys.executable, "-m", "unstuck", *words], **quiet)
        return None

    def _result(self) -> Path:
        assert self._scratch is not None
        return Path(self._scratch.name) / "diagnosis.json"

    def _told(self) -> None:
        assert self._child is not None
        if self._child.poll() is None:
            return
        found = json.loads(self._result().read_text(encoding="utf-8")) if self._result().exists() else {}
        self._end()
        loud = [f for f in found.get("findings", ()) if f["role"] in ("cause", "suspect")]
        if loud:
            self._say(_line(loud[0]))

    def _end(self) -> None:
        self._child = None
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None


def _line(finding: dict[str, Any]) -> str:
    site = finding["site"]
    place = f" at {site['file']}:{site['line']}" if site else ""
    word = "cause" if finding["role"] == "cause" else "suspect"
    return f"unstuck: {word} {finding['fault']}{place}: {finding['message']}"
