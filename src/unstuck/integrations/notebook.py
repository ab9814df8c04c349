"""`%load_ext unstuck` and `%%unstuck`: record one cell of a live notebook and report below it.

The cell runs to its end in the kernel as without the magic; nothing stops it. The diagnosis is made in a process of its
own, so that the kernel's memory and threads stay as they are.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from unstuck.tape.files import save
from unstuck.tape.notebook import Notebook, notebook

ENDLESS = (sys.maxsize, float("inf"), sys.maxsize, float("inf"))
"""Limits that no cell reaches: it is the person's process."""
OPTIONS = ("--quiet", "--verbose")
NAME = "notebook"
"""What a live notebook is called in a report: a kernel does not know the name of its file."""


def load(shell: Any) -> None:
    """Register the cell magic in an IPython shell."""
    shell.register_magic_function(lambda line, cell: magic(shell, line, cell), "cell", "unstuck")


def magic(shell: Any, line: str, cell: str) -> None:
    """Run a cell, record it, and print its diagnosis (`--quiet`: the verdict only; `--verbose`: everything)."""
    from unstuck.recording.budget import Limits
    from unstuck.recording.notebook.kernel import Recording
    from unstuck.recording.recorder import Recorder

    options = line.split()
    if unknown := [word for word in options if word not in OPTIONS]:
        print(f"unstuck: unknown option {unknown[0]}; %%unstuck takes {' and '.join(OPTIONS)}", file=sys.stderr)
        return
    recording = Recording(shell, Recorder(Path.cwd(), Limits(*ENDLESS)), _so_far(shell))
    recording.cells.run_all()
    recording.begin()
    try:
        shell.run_cell(cell, store_history=False)
    finally:
        recording.end()
    if recording.recorder.observed.optimizers.steps:
        print(_diagnosed(recording, options))
    else:
        print("unstuck: no training step was seen in this cell", file=sys.stderr)


def _so_far(shell: Any) -> Notebook:
    """Every cell that the kernel has run, the present one last."""
    texts = shell.history_manager.input_hist_raw
    return notebook(NAME, [(number, text) for number, text in enumerate(texts) if number and text.strip()])


def _diagnosed(recording: Any, options: list[str]) -> str:
    with tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True) as folder:
        save(recording.tape(None), Path(folder) / "tape")
        command = [sys.executable, "-m", "unstuck", "prove", *options, str(Path(folder) / "tape")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip("\n")
