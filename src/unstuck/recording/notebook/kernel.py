"""Inside a kernel: cells are recorded like a script, and each frame of a cell gets its place in the notebook's text."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import msgspec

from unstuck.recording.budget import Limits
from unstuck.recording.failure import described
from unstuck.recording.launch import BudgetSpent, unframe
from unstuck.recording.recorder import Recorder
from unstuck.tape.files import save
from unstuck.tape.model import Command, Tape
from unstuck.tape.notebook import PYTHON_BODY, Notebook, notebook

TIMED = "<timed exec>"
"""The file name of the body of a %%time cell."""


class Cells:
    """The cells that a kernel has run: the file name that IPython gives each one's code, and its place in the whole."""

    def __init__(self, shell: Any, book: Notebook) -> None:
        self.book = book
        self._shell = shell
        self._first: dict[str, int] = {}

    def run(self, number: int, text: str) -> None:
        """A cell is about to run."""
        cell = next((c for c in self.book.cells if c.number == number and c.text == text), None)
        cell = cell or next((c for c in self.book.cells if c.text == text), None)
        if cell is None:
            return
        body = text.partition("\n")[2]
        self._first[self._name(text, number)] = cell.first
        if any(text.startswith(f"%%{name}") for name in PYTHON_BODY):
            self._first[TIMED] = cell.first + 1
            # The magic is handed the body with a last newline.
            self._first |= {self._name(given, number): cell.first + 1 for given in (body, f"{body}\n")}

    def run_all(self) -> None:
        """The cells so far have run before."""
        for cell in self.book.cells:
            self.run(cell.number, cell.text)

    def _name(self, text: str, number: int) -> str:
        shell = self._shell
        return shell.compile.get_code_name(text, shell.transform_cell(text), number)

    def line(self, filename: str, line: int) -> int | None:
        """The line of the whole text; None if the file is no cell."""
        first = self._first.get(filename)
        return None if first is None else first + line - 1


class Recording:
    """The recording of a kernel: `begin` before the first cell, `end` after the last one."""

    def __init__(self, shell: Any, recorder: Recorder, book: Notebook) -> None:
        self.recorder, self.failure = recorder, dict[str, Any]()
        self.cells = Cells(shell, book)
        self._shell, self._count = shell, 0
        recorder.observed.call_sites.cells = self.cells

    def begin(self) -> None:
        """Watch from the next cell on."""
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)
        self._shell.set_custom_exc((BudgetSpent, Exception), _shown)
        self.recorder.attach()

    def end(self) -> None:
        """Stop watching."""
        self.recorder.detach()
        for event, call in (("pre_run_cell", self._before), ("post_run_cell", self._after)):
            with contextlib.suppress(ValueError):
                self._shell.events.unregister(event, call)
        self._shell.set_custom_exc((), None)

    def _before(self, info: Any) -> None:
        self._count += 1
        with contextlib.suppress(Exception):
            self.cells.run(self._count, info.raw_cell)

    def _after(self, result: Any) -> None:
        error = result.error_in_exec or result.error_before_exec
        if error is None or isinstance(error, BudgetSpent):
            return
        with contextlib.suppress(Exception):
            self.failure = described(error, self.recorder.observed.call_sites)

    def tape(self, command: Command | None) -> Tape:
        """What was recorded."""
        book, failure = self.cells.book, self.failure
        stopped = self.recorder.budget.spent or ("script failed: " + failure["line"] if failure else "script ended")
        tape = self.recorder.tape(book.path, stopped, failure or None, command)
        tape.sources = {book.path: book.text, **{k: v for k, v in tape.sources.items() if k != book.path}}
        tape.facts = msgspec.structs.replace(tape.facts, notebook=book)
        return tape


def _shown(shell: Any, kind: Any, error: BaseException, trace: Any, tb_offset: int | None = None) -> None:
    """Show an exception as IPython does, without our frames; the end of the budget is none of the person's."""
    if isinstance(error, BudgetSpent):
        return
    unframe(error)
    shell.showtraceback((kind, error, error.__traceback__), tb_offset=tb_offset)


_current: list[Recording] = []


def begin(told: str) -> None:
    """Record the cells that follow in this kernel. `told`: JSON with path, cells, content and limits."""
    from IPython import get_ipython

    shell, asked = get_ipython(), json.loads(told)
    path = Path(asked["path"])
    recorder = Recorder(path.resolve().parent, Limits(*asked["limits"]))
    book = notebook(path.name, [(number, text) for number, text in asked["cells"]], asked["content"])
    _current[:] = [Recording(shell, recorder, book)]
    _current[0].begin()


def end(told: str) -> None:
    """Write the tape of the cells since `begin`. `told`: JSON with the folder and the command."""
    _current[0].end()
    asked = json.loads(told)
    save(_current.pop().tape(msgspec.convert(asked["command"], Command)), Path(asked["out"]))
