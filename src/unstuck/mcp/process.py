"""Give an order to a worker process, pass its progress on, and end it when nobody waits for its answer any more."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from unstuck.mcp.worker import GRACE

BEAT = 5.0
"""Seconds between two words of progress, so that a client sees that work goes on."""
LONGEST = 16 * 2**20
"""Bytes of one line."""
Tell = Callable[[float, str], Awaitable[None]]


class Failed(Exception):
    """The worker ended without an answer; the message says how."""


class TimedOut(Exception):
    """The time is over; the message says what was being done."""


async def carried_out(order: dict[str, Any], timeout: float, tell: Tell) -> dict[str, Any]:
    """The answer of a worker. Raises TimedOut and Failed; where the caller is cancelled, the worker ends first."""
    with tempfile.TemporaryDirectory(prefix="unstuck-mcp-", ignore_cleanup_errors=True) as scratch:
        command = [sys.executable, "-m", "unstuck.mcp.worker"]
        process = await anyio.open_process(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            return await _answered(process, {**order, "scratch": scratch, "timeout": timeout}, timeout, tell)
        finally:
            with anyio.CancelScope(shield=True):
                await _ended(process)


async def _answered(process: Process, order: dict[str, Any], timeout: float, tell: Tell) -> dict[str, Any]:
    assert process.stdin is not None and process.stdout is not None
    doing, began = ["starting"], time.monotonic()
    answer: dict[str, Any] | None = None

    async def beat() -> None:
        while True:
            await tell(time.monotonic() - began, doing[0])
            await anyio.sleep(BEAT)

    with anyio.move_on_after(timeout):
        async with anyio.create_task_group() as beside:
            beside.start_soon(beat)
            await process.stdin.send(json.dumps(order).encode() + b"\n")
            answer = await _read(BufferedByteReceiveStream(process.stdout), doing, began, tell)
            beside.cancel_scope.cancel()
    if answer is not None:
        return answer
    raise TimedOut(f"not finished within {timeout:g} s; it was {doing[0]}")


async def _read(lines: BufferedByteReceiveStream, doing: list[str], began: float, tell: Tell) -> dict[str, Any]:
    with suppress(anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError):
        while True:
            said = json.loads(await lines.receive_until(b"\n", LONGEST))
            if "answer" in said:
                return said["answer"]
            doing[0] = said["progress"]
            await tell(time.monotonic() - began, doing[0])
    raise Failed(f"the process that was {doing[0]} ended without an answer (out of memory?)")


async def _ended(process: Process) -> None:
    """End a worker in order; after GRACE, kill it."""
    if process.stdin is not None:
        with suppress(anyio.BrokenResourceError, OSError):
            await process.stdin.aclose()
    with anyio.move_on_after(GRACE + 2):
        await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        await process.wait()
    await process.aclose()
