"""Our end of the server that starts recording processes by fork (`recording.served`), and of what it starts."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

SECONDS = 90.0
"""Until it must have imported torch, or answered."""


class Server:
    """Starts processes that have torch. Close it at the end; they outlive it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises OSError where it cannot be started."""
        self._socket, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "unstuck.recording", "--serve", str(theirs.fileno())]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),), process_group=0, env=dict(environment),
            )  # fmt: skip
        self._socket.settimeout(SECONDS)
        self._ready = False

    def start(self, terms: str, out: int, err: int, pipes: tuple[int, int]) -> Forked:
        """A process with these files, contained by the terms. Raises OSError where the server is gone."""
        if not self._ready:
            self._line()
            self._ready = True
        theirs, ours = os.pipe()
        try:
            socket.send_fds(self._socket, [terms.encode()], [theirs, out, err, *pipes])
            return Forked(int(self._line()), os.fdopen(ours, "wb", buffering=0))
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            if not (more := self._socket.recv(64)):
                raise OSError("the server of processes has ended")
            line += more
        return line

    def close(self) -> None:
        """Let it end."""
        self._socket.close()
        try:
            self._process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Forked:
    """A process that is no child of ours, with what is used of `subprocess.Popen`."""

    def __init__(self, pid: int, stdin: IO[bytes]) -> None:
        self.pid, self.stdin = pid, stdin
        try:
            self._file = os.pidfd_open(pid)
        except ProcessLookupError:
            self._file = -1

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; its exit code is not known. Raises subprocess.TimeoutExpired."""
        if self._file >= 0:
            if not select.select([self._file], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a process that was forked", timeout or 0.0)
            os.close(self._file)
            self._file = -1
        return 0

    def kill(self) -> None:
        """End it, if it still runs."""
        if self._file >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._file, signal.SIGKILL)
