"""Run the patched script itself, in a copy of its folder, recorded like the first run: the last word before "proven".

Nothing of the person's is touched: the script's folder is copied (large files are linked), the patched texts are put in
their place, and whatever the run writes beside itself goes with the copy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from unstuck.tape import Tape, TapeError, load

COPIED = 64 * 2**20
"""Files above this size are linked instead of copied."""
MANY = 4_000
"""Folders with more entries than this are linked as a whole below their first level."""
SLACK = 3.0
"""A patched script may take this many times as long as the recorded run, and then some for imports."""


@dataclass(frozen=True)
class Rehearsal:
    """What the patched script did."""

    code: int | None
    """Its exit code; None where it was stopped because it took too long."""
    tape: Tape | None
    last_words: str
    """The last line it printed."""

    @property
    def ran(self) -> bool:
        """It went through."""
        return self.code == 0 and self.tape is not None


def rehearse(tape: Tape, sources: Mapping[str, str], limit: float | None = None) -> Rehearsal:
    """Run the tape's script with some of its files replaced; raises FileNotFoundError where the script is not here."""
    command = tape.facts.get("command") or {}
    folder = Path(tape.folder)
    if not command or not (folder / next(iter(tape.sources), tape.script)).exists():
        raise FileNotFoundError("the script is not on this machine")
    with _copied(folder, sources) as stage:
        out = stage.parent / "tape"
        words = ["-m", command["module"]] if command.get("module") else [str(stage / Path(command["path"]).name)]
        budget = ["--steps", str(command["steps"]), "--seconds", str(1.5 * command["seconds"])]
        full = [sys.executable, "-m", "unstuck.record", "--out", str(out), *budget, "--", *words, *command["args"]]
        return _run(full, _where(command["cwd"], folder, stage), out, limit or SLACK * tape.seconds + 60)


def _where(cwd: str, folder: Path, stage: Path) -> str:
    here = Path(cwd)
    return str(stage / here.relative_to(folder)) if here.is_relative_to(folder) else cwd


def _run(command: list[str], cwd: str, out: Path, limit: float) -> Rehearsal:
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return Rehearsal(None, None, "")
    words = [line for line in done.stdout.splitlines() if line.strip()]
    error = [line for line in done.stderr.splitlines() if line.strip()] if done.returncode else []
    try:
        tape = load(out)
    except TapeError:
        tape = None
    return Rehearsal(done.returncode, tape, ([*words[-1:], *error[-1:]] or [""])[-1])


@contextmanager
def _copied(folder: Path, sources: Mapping[str, str]) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True) as scratch:
        stage = Path(scratch) / folder.name
        stage.mkdir()
        for entry in folder.iterdir():
            _bring(entry, stage / entry.name)
        for path, text in sources.items():
            _put(stage, path, text)
        yield stage


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
    linked = next((p for p in target.parents if p.is_symlink()), None)
    if linked is not None and linked.is_relative_to(stage):
        original = linked.resolve()
        linked.unlink()
        shutil.copytree(original, linked, symlinks=True)
    if target.is_symlink():
        target.unlink()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text.encode("utf-8"))
