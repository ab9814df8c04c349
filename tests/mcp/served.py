"""A server in a process of its own, and the SDK's client before it."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

KEPT = ("PYTHONPATH", "OMP_NUM_THREADS", "UNSTUCK_CONTAINMENT", "VIRTUAL_ENV")


def client(folder: Path) -> AbstractAsyncContextManager[Client]:
    """Starts `unstuck mcp` in a folder."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    command = StdioServerParameters(command=sys.executable, args=["-m", "unstuck", "mcp"], env=environment, cwd=folder)
    return Client(command)


def during(folder: Path, talk: Callable[[Client], Awaitable[None]]) -> None:
    """A conversation with a server."""

    async def conversation() -> None:
        async with client(folder) as opened:
            await talk(opened)

    anyio.run(conversation)


async def called(opened: Client, tool: str, /, **arguments: Any) -> dict[str, Any]:
    """The structured answer of a tool."""
    result = await opened.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content
