"""One command in a fresh copy of its folder: exit code, output, seconds, peak memory, and the files it left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.field import trees
from benchmarks.field.programs import Program

PAUSE = 0.5
"""Seconds between two looks at the memory in use."""


@dataclass(frozen=True)
class Outcome:
    """What one run left behind."""

    code: int
    """The exit code; -9 where the limit ended it."""
    seconds: float
    cpu: float
    """Processor seconds of the command and of the children it waited for."""
    peak: int
    """Largest proportional set size of the process tree seen, in MB; 0 where the system does not tell."""
    out: str
    err: str
    before: trees.Tree
    after: trees.Tree
    home: trees.Tree


def as_published(folder: Path) -> None:
    """Change nothing."""


def run(
    command: list[str], program: Program, scratch: Path, limit: float, prepare: Callable[[Path], None] = as_published
) -> Outcome:
    """The command in a copy of the program's folder, always at the same path, so that printed paths agree.

    `prepare` may change the copy before; it is given the folder in which the command is run.
    """
    copy, home = scratch / "run" / program.folder.name, scratch / "home"
    for place in (copy.parent, home):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    shutil.copytree(program.folder, copy, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    prepare(copy / program.cwd)
    before, began = trees.tree(copy), time.monotonic()
    with (scratch / "out").open("wb") as out, (scratch / "err").open("wb") as err:
        started = subprocess.Popen(
            command,
            cwd=copy / program.cwd,
            env=program.surroundings(copy, home),
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        code, cpu, peak = _watched(started.pid, began + limit)
    texts = [(scratch / name).read_bytes().decode("utf-8", "replace") for name in ("out", "err")]
    return Outcome(
        code, time.monotonic() - began, cpu, peak, *texts, before=before, after=trees.tree(copy), home=trees.tree(home)
    )


def _watched(pid: int, end: float) -> tuple[int, float, int]:
    """Exit code, processor seconds and peak memory of a child, which is ended with its group at `end`."""
    peak = 0
    while True:
        done, status, used = os.wait4(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, peak
        peak = max(peak, sum(_resident(one) for one in _descendants(pid)))
        if time.monotonic() > end:
            os.killpg(pid, signal.SIGKILL)
        time.sleep(PAUSE)


def _descendants(pid: int) -> list[int]:
    try:
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        lists = []
    return [pid, *(each for text in lists for child in text.split() for each in _descendants(int(child)))]


def _resident(pid: int) -> int:
    """Proportional set size in MB: pages that several processes share are counted once in all."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("Pss:")), 0)
