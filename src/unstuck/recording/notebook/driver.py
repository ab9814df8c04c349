"""Run a notebook's cells in a kernel of this interpreter, as `jupyter execute` would, with the recorder in the kernel.

The notebook's file is not written. What cells print goes to our stdout and stderr as it comes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from unstuck.tape.notebook import Notebook, read


def execute(path: Path, out: Path, limits: tuple[Any, ...], command: dict[str, Any]) -> int:
    """Run and record a notebook; 0, or 1 if a cell failed or the kernel died."""
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    content = path.read_text(encoding="utf-8")
    book = read(path.name, content)
    client = _client(nbformat.reads(content, as_version=4), path)
    scratch = tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True)
    with scratch as folder, _kernel(client, Path(folder)):
        _ask(client, _call("begin", _told(path, book, limits)))
        try:
            failed = _cells(client, (CellExecutionError, DeadKernelError))
        except KeyboardInterrupt:
            failed = True
        with suppress(DeadKernelError):
            _ask(client, _call("end", {"out": str(out), "command": command}))
    return int(failed)


def _told(path: Path, book: Notebook, limits: tuple[Any, ...]) -> dict[str, Any]:
    cells = [(cell.number, cell.text) for cell in book.cells]
    return {"path": str(path.absolute()), "cells": cells, "content": book.content, "limits": limits}


def _call(function: str, told: dict[str, Any]) -> str:
    """Code that calls a function of our kernel module and leaves no name in the person's namespace."""
    module = "unstuck.recording.notebook.kernel"
    return f"__import__({module!r}, fromlist=[{function!r}]).{function}({json.dumps(told)!r})"


def _client(notebook: Any, path: Path) -> Any:
    from nbclient import NotebookClient

    class Client(NotebookClient):
        """Hands on what cells print."""

        def output(self, outs: Any, msg: Any, display_id: Any, cell_index: Any) -> Any:
            _show(msg["msg_type"], msg["content"])
            return super().output(outs, msg, display_id, cell_index)

    return Client(notebook, timeout=None, resources={"metadata": {"path": str(path.absolute().parent)}})


def _kernel(client: Any, scratch: Path) -> Any:
    """Start a kernel of this very interpreter, whatever the notebook's metadata name; over files, not the network."""
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]

    class Manager(AsyncKernelManager):
        @property
        def kernel_spec(self) -> KernelSpec:  # pyright: ignore[reportIncompatibleMethodOverride]
            return KernelSpec(argv=argv, language="python", display_name="Python")

    local = {"transport": "ipc", "ip": str(scratch / "k")} if sys.platform != "win32" else {}
    client.owns_km, client.km = True, Manager(connection_file=str(scratch / "kernel.json"), **local)
    return client.setup_kernel()


def _cells(client: Any, failures: tuple[type[Exception], ...]) -> bool:
    """Run all cells; whether one of them failed."""
    for index, cell in enumerate(client.nb.cells):
        try:
            client.execute_cell(cell, index)
        except failures as error:
            return getattr(error, "ename", "") != "BudgetSpent"
    return False


def _ask(client: Any, code: str) -> None:
    """Run code of ours in the kernel: no number, no history."""
    from jupyter_core.utils import run_sync

    run_sync(client.kc.execute_interactive)(code, silent=True, store_history=False, output_hook=_relay)


def _relay(msg: Any) -> None:
    if msg["msg_type"] == "error":
        print("unstuck: " + msg["content"]["evalue"], file=sys.stderr)


def _show(kind: str, content: dict[str, Any]) -> None:
    if kind == "stream":
        stream = sys.stdout if content["name"] == "stdout" else sys.stderr
        stream.write(content["text"])
        stream.flush()
    elif kind in ("display_data", "execute_result"):
        print(content["data"].get("text/plain", ""), flush=True)
    elif kind == "error" and content["ename"] != "BudgetSpent":
        print("\n".join(content["traceback"]), file=sys.stderr, flush=True)
