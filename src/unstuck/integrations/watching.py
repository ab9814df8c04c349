"""`with unstuck.watch() as run:` around any training code, then `run.report()`.

The code runs as without it: nothing stops it and no random number is drawn. What is recorded is bounded in memory; once
that is full, later steps are sampled. The diagnosis is made in a process of its own, from the recording alone: the
code cannot be run again, so a patch is proven by replay or stays unproven.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from unstuck.integrations.notebook import ENDLESS

Effort = Literal["quick", "normal", "thorough"]
HEIGHT = 640
"""Pixels of the page inside a notebook; it scrolls."""


class NothingRecorded(RuntimeError):
    """No training step ran inside the block, or it has not ended yet."""


@dataclass(frozen=True)
class Report:
    """A diagnosis: text for a terminal, a page for a notebook, and the data of `unstuck run --json`."""

    text: str
    page: str
    """One self-contained HTML page."""
    diagnosis: dict[str, Any]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        """The page in a frame of its own: it needs no script, and its style stays inside."""
        frame = f'<iframe sandbox srcdoc="{escape(self.page)}" title="unstuck" width="100%" height="{HEIGHT}"'
        return f'{frame} style="border: 0"></iframe>'


class watch:
    """Record the training inside a `with` block.

    Parameters
    ----------
    folder
        where the person's sources are, which the report names by paths relative to it; by default the current
        folder. Files of installed packages are never quoted.
    name
        what the report calls the program; by default the running script.
    """

    def __init__(self, folder: str | Path | None = None, name: str | None = None) -> None:
        self._folder = Path.cwd() if folder is None else Path(folder)
        self._name = name or Path(sys.argv[0]).name or "training"
        self._recorder: Any = None
        self._failure: dict[str, Any] = {}
        self._tape: tempfile.TemporaryDirectory[str] | None = None
        self._reports: dict[str, Report] = {}

    def __enter__(self) -> watch:
        self.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.end(error)

    def begin(self) -> None:
        """Watch from here on. Raises RuntimeError if this object watches already."""
        from unstuck.recording.recorder import Recorder

        if self._recorder is not None:
            raise RuntimeError("this watch has begun already; use a new one")
        self._recorder = Recorder(self._folder, _limits())
        self._recorder.attach()

    def end(self, error: BaseException | None = None) -> None:
        """Stop watching; `error` is what ended the training, if anything did. Calls after the first do nothing."""
        if not self.recording:
            return
        from unstuck.recording.failure import described
        from unstuck.tape.files import save

        self._recorder.detach()
        self._tape = tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True)
        self._failure = described(error, self._recorder.observed.call_sites) if isinstance(error, Exception) else {}
        stopped = f"script failed: {self._failure['line']}" if self._failure else "script ended"
        if self._recorder.trained:
            save(self._recorder.tape(self._name, stopped, self._failure or None), self._folder_of_tape())

    @property
    def recording(self) -> bool:
        """Whether it has begun and not ended."""
        return self._recorder is not None and self._tape is None

    @property
    def trained(self) -> bool:
        """Whether a training step was seen."""
        return self._recorder is not None and self._recorder.trained

    @property
    def diagnosis(self) -> dict[str, Any]:
        """The diagnosis as in `unstuck run --json`. Raises NothingRecorded."""
        return self.report().diagnosis

    def report(self, effort: Effort = "normal", verbose: bool = False) -> Report:
        """The diagnosis of what was recorded; made once per effort. Raises NothingRecorded."""
        if self._tape is None:
            raise NothingRecorded("the block that is watched has not ended")
        if not self.trained:
            raise NothingRecorded("no training step ran inside the block")
        key = f"{effort}{' verbose' if verbose else ''}"
        if key not in self._reports:
            self._reports[key] = _diagnosed(self._folder_of_tape(), effort, verbose)
        return self._reports[key]

    def so_far(self, folder: str | Path) -> bool:
        """Write what was recorded until now to a new folder while the block runs; whether there was anything."""
        from unstuck.tape.files import save

        if not self.recording or not self.trained:
            return False
        save(self._recorder.tape(self._name, "script ended"), Path(folder))
        return True

    def save(self, folder: str | Path) -> None:
        """Write the tape to a new folder, for `unstuck show`, `prove` and `dossier`. Raises NothingRecorded."""
        import shutil

        if self._tape is None or not self.trained:
            raise NothingRecorded("there is no tape to save")
        shutil.copytree(self._folder_of_tape(), folder)

    def _folder_of_tape(self) -> Path:
        assert self._tape is not None
        return Path(self._tape.name) / "tape"

    def __repr__(self) -> str:
        state = "not begun" if self._recorder is None else "recording" if self.recording else "ended"
        return f"<unstuck.watch of {self._name}: {state}>"


def _limits() -> Any:
    from unstuck.recording.budget import Limits

    return Limits(*ENDLESS)


def _diagnosed(tape: Path, effort: str, verbose: bool) -> Report:
    with tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True) as scratch:
        data, page = Path(scratch) / "diagnosis.json", Path(scratch) / "page.html"
        words = ["prove", "--effort", effort, "--json", str(data), "--html", str(page)]
        more = ["--verbose"] if verbose else []
        command = [sys.executable, "-m", "unstuck", *words, *more, str(tape)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not data.exists():
            raise RuntimeError(f"the diagnosis failed: {done.stderr.strip()[-400:]}")
        shown = page.read_text(encoding="utf-8") if page.exists() else ""
        return Report(done.stderr.strip("\n"), shown, json.loads(data.read_text(encoding="utf-8")))
