"""Run the patched script in a copy of its folder, recorded like the first run. A patch is proven by this run only.

The script's folder is copied (large files are linked), the patched texts replace the originals, and whatever the run
writes into its own folder is deleted with the copy.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unstuck.diagnosis.model import NotApplicable
from unstuck.recording.budget import Limits
from unstuck.signals.learning import Learning
from unstuck.tape.files import TapeError, load
from unstuck.tape.model import Command, Tape

COPIED = 64 * 2**20
"""Files above this size are linked instead of copied."""
MANY = 4_000
"""Folders with more entries than this are linked as a whole below their first level."""
SLACK = 3.0
"""A patched script may take this many times as long as the recorded run, plus a minute for imports."""
LONGER = 1.5
"""Factor on the seconds of the recording's budget: the patched script shares the machine with replays."""
SHOWN = 4096
"""Bytes at the end of its output that are searched for its last line."""


@dataclass(frozen=True)
class PatchedRun:
    """What a patched script did."""

    code: int | None
    """Its exit code; None where it was stopped because it took too long."""
    tape: Tape | None
    last_line: str
    """The last line it printed."""

    @property
    def ran(self) -> bool:
        """Whether it ended without an error."""
        return self.code == 0 and self.tape is not None

    @functools.cached_property
    def learning(self) -> Learning | None:
        """How well it learnt; None if it never trained."""
        try:
            return Learning.read(self.tape) if self.tape is not None else None
        except NotApplicable:
            return None


class PatchedRuns:
    """Patched scripts, each run once. One may be started early, while replays are at work. Close it at the end.

    Starting Python and importing torch take longer than many scripts, so an idle child process that has done both
    waits for the next script.
    """

    def __init__(self) -> None:
        self._done: dict[object, PatchedRun] = {}
        self._waiting: Child | None = None
        self._ahead: tuple[object, Child] | None = None

    def prepare(self) -> None:
        """Start the next child process."""
        self._waiting = self._waiting or Child()

    def begin(self, tape: Tape, sources: Mapping[str, str]) -> None:
        """Start a run that will probably be asked for; an earlier one that nobody asked for is stopped."""
        key = _key(tape, sources)
        if key in self._done or (self._ahead is not None and self._ahead[0] == key):
            return
        self._give_up()
        self._ahead = (key, self._ordered(tape, sources))

    def of(self, tape: Tape, sources: Mapping[str, str], limit: float | None = None) -> PatchedRun:
        """Run the tape's script with some of its files replaced. Raises FileNotFoundError if it is not here."""
        key = _key(tape, sources)
        if key not in self._done:
            self.begin(tape, sources)
            assert self._ahead is not None
            self._done[key] = self._ahead[1].end(limit or SLACK * tape.seconds + 60)
            self._give_up()
        return self._done[key]

    def _ordered(self, tape: Tape, sources: Mapping[str, str]) -> Child:
        command, folder = tape.facts.command, Path(tape.folder)
        if command is None or not (folder / next(iter(tape.sources), tape.script)).exists():
            raise FileNotFoundError("the script is not on this machine")
        self.prepare()
        child, self._waiting = self._waiting, None
        assert child is not None
        try:
            child.order(command, folder, sources)
        except BaseException:
            child.close()
            raise
        return child

    def _give_up(self) -> None:
        if self._ahead is not None:
            self._ahead[1].close()
            self._ahead = None

    def close(self) -> None:
        """Stop whatever is still running."""
        self._give_up()
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None


class Child:
    """A recording process that waits for its command, and a scratch folder for it."""

    def __init__(self) -> None:
        self.scratch = tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True)
        self.folder = Path(self.scratch.name)
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            command = [sys.executable, "-m", "unstuck.recording", "--wait"]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, stderr=err)

    def order(self, command: Command, folder: Path, sources: Mapping[str, str]) -> None:
        """Run the recorded command in a copy of its folder, with some files replaced."""
        stage = _copied(folder, self.folder / "copy" / folder.name, sources)
        words = ["-m", command.module] if command.module else [str(stage / Path(command.path or "").name)]
        budget = Limits(command.steps, LONGER * command.seconds, command.least, LONGER * command.longest).words()
        argv = ["--out", str(self.folder / "tape"), *budget, "--", *words, *command.args]
        cwd, environment = _where(command.cwd, folder, stage), dict(command.environment)
        order = {"cwd": cwd, "argv": argv, "environment": environment}
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as pipe:  # its exit code tells that it is gone
            pipe.write(json.dumps(order).encode() + b"\n")

    def end(self, limit: float) -> PatchedRun:
        """Wait for it, at most `limit` seconds."""
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return PatchedRun(None, None, "")
        words, error = self._lines("out")[-1:], self._lines("err")[-1:] if code else []
        try:
            tape = load(self.folder / "tape")
        except TapeError:
            tape = None
        return PatchedRun(code, tape, ([*words, *error] or [""])[-1])

    def _lines(self, name: str) -> list[str]:
        """The last non-empty lines it printed."""
        with (self.folder / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - SHOWN))
            return [line for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.process.kill()
        self.process.wait()
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        self.scratch.cleanup()


def _key(tape: Tape, sources: Mapping[str, str]) -> object:
    command = tape.facts.command
    return frozenset(sources.items()), command.args if command else (), command.environment if command else ()


def _where(cwd: str, folder: Path, stage: Path) -> str:
    here = Path(cwd)
    return str(stage / here.relative_to(folder)) if here.is_relative_to(folder) else cwd


def _copied(folder: Path, stage: Path, sources: Mapping[str, str]) -> Path:
    stage.mkdir(parents=True)
    for entry in folder.iterdir():
        _bring(entry, stage / entry.name)
    for path, text in sources.items():
        _put(stage, path, text)
    return stage


def _bring(entry: Path, to: Path) -> None:
    if entry.is_dir() and not entry.is_symlink() and _small(entry):
        shutil.copytree(entry, to, symlinks=True, ignore_dangling_symlinks=True)
    elif entry.is_file() and entry.stat().st_size <= COPIED:
        shutil.copy2(entry, to)
    elif entry.name != ".git":
        to.symlink_to(entry.resolve())


def _small(folder: Path) -> bool:
    size = count = 0
    for root, _, files in os.walk(folder):
        count += len(files)
        size += sum(os.lstat(Path(root) / f).st_size for f in files)
        if size > COPIED or count > MANY:
            return False
    return folder.name not in (".git", ".venv", "node_modules")


def _put(stage: Path, path: str, text: str) -> None:
    """Write a patched file into the copy, never through a link into the person's folder."""
    target = stage / path
    if target.is_file() and target.read_bytes() == text.encode("utf-8"):
        return
    linked = next((p for p in target.parents if p.is_symlink()), None)
    if linked is not None and linked.is_relative_to(stage):
        original = linked.resolve()
        linked.unlink()
        shutil.copytree(original, linked, symlinks=True)
    if target.is_symlink():
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode("utf-8"))
