"""Runs of the two programs of a trial, contained, from seeds that are the same for both."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from unstuck.containment import RESULT, watched
from unstuck.diagnosis.forked import Server
from unstuck.diagnosis.rerun import Child, likely
from unstuck.recording.budget import UNBOUNDED
from unstuck.signals.printed import Printed
from unstuck.tape.model import Command, Tape
from unstuck.trial.change import Change

STRIDE = 10_007
"""Between the seeds of two pairs: scripts that seed several generators use small numbers next to each other."""
ORDERED = {"PYTHONHASHSEED": "0"}
"""Sets of words are ordered by their hashes, which differ from process to process unless this is set."""
ENDLESS = 1e9
"""Seconds: no run of a trial is cut, since its number stands at its end."""


@dataclass(frozen=True)
class Outcome:
    """What one run did."""

    code: int | None
    """Its exit code; None where it was stopped."""
    printed: Printed
    last_line: str = ""
    seeds: dict[str, int] = field(default_factory=dict)
    """How often each call that sets a seed was made."""
    tape: Tape | None = None
    """Where it was recorded."""
    means: str = "none"
    """How it was contained."""
    broken: str = ""

    @property
    def ran(self) -> bool:
        """Whether it ended without an error."""
        return self.code == 0

    @property
    def ending(self) -> str:
        """How it ended, where it did not end well."""
        return self.broken or self.last_line or f"exit code {self.code}"


@dataclass(frozen=True)
class Job:
    """The original program: how it is started."""

    path: str | None
    module: str | None
    arguments: tuple[str, ...]
    folder: Path
    """That its files are relative to."""
    cwd: str

    def command(self, arguments: tuple[str, ...], environment: tuple[tuple[str, str], ...]) -> Command:
        """As the recording process takes it, without a budget."""
        return Command(
            self.path, self.module, arguments, self.cwd, UNBOUNDED, ENDLESS, environment, longest=ENDLESS
        )  # fmt: skip


class Runs:
    """The runs of a trial. Close it at the end."""

    def __init__(self, job: Job, change: Change, uncontained: bool = False) -> None:
        self._job, self._change, self._uncontained = job, change, uncontained
        self._waiting: list[Child] = []
        self._server = Server({**os.environ, **ORDERED}) if watched() else None
        self._sides = 1 if _one_device() or (os.cpu_count() or 1) < 2 else 2

    def prepare(self, children: int) -> None:
        """Start so many processes, which import torch and wait."""
        while len(self._waiting) < children:
            places = likely(str(self._job.folder), self._job.cwd)
            self._waiting.append(Child(places, self._uncontained, ORDERED, self._server))

    def pair(self, number: int, recorded: bool = False, ahead: int = 0) -> tuple[Outcome, Outcome]:
        """Run both programs, side by side where there is room. Raises NotContained.

        `ahead`: processes that are started meanwhile for the next pair.
        """
        words = ["--shift", str(number * STRIDE), *(() if recorded else ("--plain",))]
        begun: list[Child] = []
        ends: list[Outcome] = []
        starts: list[Callable[[Child], None]] = [
            lambda child: child.order(self._job.command(self._job.arguments, ()), self._job.folder, {}, words),
            lambda child: child.order(
                self._job.command(self._change.arguments, self._change.environment), self._job.folder,
                self._change.files, words,
            ),
        ]  # fmt: skip
        try:
            for start in starts:
                self.prepare(1)
                begun.append(self._waiting.pop(0))
                start(begun[-1])
                if self._sides == 1:
                    ends.append(_ended(begun[-1]))
            self.prepare(ahead)
            ends += [_ended(child) for child in begun[len(ends) :]]
        finally:
            for child in begun:
                child.close()
        return ends[0], ends[1]

    def close(self) -> None:
        """End what waits."""
        for child in self._waiting:
            child.close()
        self._waiting = []
        if self._server is not None:
            self._server.close()


def _ended(child: Child) -> Outcome:
    done = child.end(ENDLESS)
    told: dict[str, int] = {}
    with suppress(OSError, ValueError):
        told = json.loads((child.folder / RESULT / "seeds.json").read_text(encoding="utf-8"))
    return Outcome(done.code, Printed.of(child.output()), done.last_line, told, done.tape, done.means, done.broken)


def _one_device() -> bool:
    """Whether there is an accelerator, whose memory two programs may not both fit into."""
    import torch

    return torch.cuda.is_available() or torch.backends.mps.is_available()
