"""Run the patched script, contained and recorded like the first run. A patch is proven by this run only.

The script sees the person's files at their own paths, with the patched texts in the place of the originals; whatever
it writes lands in a scratch folder (`unstuck.containment`). Where it cannot be contained it is not run, unless the
person allows it: then it runs in a copy of its folder (`unstuck.diagnosis.copied`).
"""

from __future__ import annotations

import functools
import json
import math
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from unstuck import containment
from unstuck.diagnosis.cells import on_disk
from unstuck.diagnosis.copied import copied, moved
from unstuck.diagnosis.forked import Forked, Server
from unstuck.diagnosis.model import NotApplicable
from unstuck.recording.budget import Limits
from unstuck.signals.learning import Learning
from unstuck.tape.files import TapeError, load
from unstuck.tape.model import Command, Tape

SLACK = 3.0
"""A patched script may take this many times as long as the recorded run, plus a minute for imports."""
LONGER = 1.5
"""Factor on the seconds of the recording's budget: the patched script shares the machine with replays."""
CLOSE = 0.05
"""Numbers of two patches that differ by no more than this share of the larger are as good as equal."""
SHOWN = 4096
"""Bytes at the end of its output that are searched for its last line."""
OUTPUT = 2**22
"""Bytes at the end of its output that are handed on."""
STARTING = 90.0
"""Seconds until a child must have contained itself: on a busy machine Python alone takes many."""
GOING = 15.0
"""Seconds until a child that was told to end is killed."""


@dataclass(frozen=True)
class PatchedRun:
    """What a patched script did."""

    code: int | None
    """Its exit code; None where it was stopped."""
    tape: Tape | None
    last_line: str
    """The last line it printed."""
    means: str = "none"
    """How it was contained: "namespaces", "landlock", or "none"."""
    broken: str = ""
    """The limit that it was stopped for, in words."""

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


class NotContained(OSError):
    """The script cannot be contained here, and the person has not allowed it to run without."""


class PatchedRuns:
    """Patched scripts, each run once. One may be started early, while replays are at work. Close it at the end.

    Starting Python and importing torch take longer than many scripts, so an idle child process that has done both
    waits for the next script. `uncontained`: a script that cannot be contained is run all the same.
    """

    def __init__(self, uncontained: bool = False) -> None:
        self._uncontained = uncontained
        self._done: dict[object, PatchedRun] = {}
        self._waiting: Child | None = None
        self._ahead: tuple[object, Child] | None = None
        self._begun: tuple[dict[str, str], tuple[str, ...]] = ({}, ())
        """The sources of the last run that was begun ahead, and its remedies."""

    def under_way(self, files: dict[str, str], kinds: tuple[str, ...]) -> dict[str, str]:
        """The files of the run that was begun with remedies of the same kinds, where these differ by a little in
        numbers only.

        A mean is another after a thousand rows than after five hundred. Either patch is as good, and one is run.
        """
        begun, begun_kinds = self._begun
        return begun if kinds == begun_kinds and nearly(files, begun) else files

    @property
    def processes(self) -> list[int]:
        """Ids of the child processes, the one that runs a script last."""
        ahead = None if self._ahead is None else self._ahead[1]
        return [child.process.pid for child in (self._waiting, ahead) if child is not None]

    def prepare(self, tape: Tape) -> None:
        """Start the next child process, for a patched version of this tape's script."""
        self._waiting = self._waiting or Child(_likely(tape), self._uncontained)

    def begin(self, tape: Tape, sources: Mapping[str, str], kinds: tuple[str, ...] = ()) -> None:
        """Start a run that will probably be asked for; an earlier one that nobody asked for is stopped."""
        key = _key(tape, sources)
        if key in self._done or (self._ahead is not None and self._ahead[0] == key):
            return
        self._give_up()
        self._ahead = (key, self._ordered(tape, sources))
        self._begun = (dict(sources), kinds)

    def of(self, tape: Tape, sources: Mapping[str, str], limit: float | None = None) -> PatchedRun:
        """Run the tape's script with some of its files replaced.

        Raises FileNotFoundError if it is not here, and NotContained.
        """
        key = _key(tape, sources)
        if key not in self._done:
            self.begin(tape, sources)
            assert self._ahead is not None
            self._done[key] = self._ahead[1].end(limit or SLACK * tape.seconds + 60)
            self._give_up()
        return self._done[key]

    def _ordered(self, tape: Tape, sources: Mapping[str, str]) -> Child:
        command, folder = tape.facts.command, Path(tape.folder)
        if tape.facts.notebook is not None and not tape.facts.notebook.content:
            raise FileNotFoundError("cells of a live notebook are not run again")
        if command is None:
            raise FileNotFoundError("what was watched inside a program cannot be run again by itself")
        if not (folder / next(iter(tape.sources), tape.script)).exists():
            raise FileNotFoundError("the script is not on this machine")
        self.prepare(tape)
        child, self._waiting = self._waiting, None
        assert child is not None
        try:
            child.order(command, folder, on_disk(tape, sources))
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
    """A recording process that contains itself and waits for its command, and a scratch folder for it.

    Between it and us stands the process that watches over it (`containment.watch`); where there is no containment at
    all there is none, and the child is ours.
    """

    def __init__(
        self, likely: tuple[str, ...] = (), uncontained: bool = False, environment: Mapping[str, str] | None = None,
        server: Server | None = None,
    ) -> None:  # fmt: skip
        """`environment`: variables beside ours. `server`: starts it, where it can be watched over."""
        self._environment = {**os.environ, **(environment or {})}
        self.scratch = tempfile.TemporaryDirectory(prefix="unstuck-", ignore_cleanup_errors=True)
        self.folder = Path(self.scratch.name).resolve()
        (self.folder / containment.RESULT).mkdir()
        self._told: Told | None = None
        if containment.watched():
            self._told = Told()
            terms = self._told.terms(str(self.folder), likely, uncontained)
            self.process = self._begun(json.dumps(asdict(terms)), (terms.alive, terms.tell), server)
            self._told.started(terms)
        elif uncontained:
            self.process = self._started([], ())
        else:
            self.close()
            raise _not_contained(["it is offered on Linux only"])

    def _begun(self, terms: str, pipes: tuple[int, int], server: Server | None) -> subprocess.Popen[bytes] | Forked:
        out, err = (self.folder / name for name in ("out", "err"))
        with suppress(OSError), out.open("wb") as to, err.open("wb") as aside:  # a server may be gone
            if server is not None:
                return server.start(terms, to.fileno(), aside.fileno(), pipes)
        return self._started([terms], pipes)

    def _started(self, terms: list[str], pipes: tuple[int, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "unstuck.recording", "--wait", *terms]
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            # Ctrl-C is for us to see: closing the pipe ends everything, in order.
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=err, pass_fds=pipes,
                process_group=0 if pipes else None, env=self._environment,
            )  # fmt: skip

    def order(self, command: Command, folder: Path, sources: Mapping[str, str], options: Sequence[str] = ()) -> None:
        """Run the recorded command with some files of its folder replaced. Raises NotContained.

        `options`: more options of the recording process.
        """
        means = self._means()
        stage = folder
        if means == "none":
            stage = copied(folder, self.folder / "copy" / folder.name, sources)
        path = command.path
        if path is not None and stage != folder:
            path = str(stage / Path(path).name)
        words = ["-m", command.module] if command.module else [path or ""]
        budget = Limits(command.steps, LONGER * command.seconds, command.least, LONGER * command.longest).words()
        argv = ["--out", str(self.folder / containment.RESULT / "tape"), *budget, *options, "--", *words, *command.args]
        files = {os.path.normpath(folder / name): text for name, text in sources.items()} if stage == folder else {}
        cwd, environment = moved(command.cwd, folder, stage), dict(command.environment)
        order = {"cwd": cwd, "argv": argv, "environment": environment, "files": files}
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as pipe:  # its exit code tells that it is gone
            pipe.write(json.dumps(order).encode() + b"\n")

    def _means(self) -> str:
        if self._told is None:
            return "none"
        said = self._told.line(STARTING) or {"means": None, "why": ["no answer"]}
        if said["means"] is None:
            raise _not_contained(said["why"])
        return said["means"]

    def end(self, limit: float) -> PatchedRun:
        """Wait for it, at most `limit` seconds."""
        means = self._means()
        ended = self._ended(limit)
        if ended is None:
            return PatchedRun(None, None, "", means, "it took too long")
        code, broken = ended
        words, error = self._lines("out")[-1:], self._lines("err")[-1:] if code else []
        try:
            tape = load(self.folder / containment.RESULT / "tape") if not broken else None
        except TapeError:
            tape = None
        if tape is not None and tape.error and "line" in tape.error:  # a launcher prints more below it
            error = [str(tape.error["line"])]
        return PatchedRun(code, tape, ([*words, *error] or [""])[-1], means, broken)

    def _ended(self, limit: float) -> tuple[int | None, str] | None:
        """Its exit code, and the limit it broke; None if it still runs."""
        if self._told is not None:
            said = self._told.line(limit, 1)
            return None if said is None else (said.get("code", 1), said.get("broken", ""))
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(timeout=limit), ""
        return None

    def output(self) -> str:
        """What it printed, or the last OUTPUT bytes of it."""
        return self._tail("out", OUTPUT)

    def _tail(self, name: str, size: int) -> str:
        with (self.folder / name).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", "replace")

    def _lines(self, name: str) -> list[str]:
        """The last non-empty lines it printed."""
        return [line for line in self._tail(name, SHOWN).splitlines() if line.strip()]

    def close(self) -> None:
        """Stop it and whatever it started, and remove its folder."""
        if self._told is not None:
            self._told.close()
        if (process := getattr(self, "process", None)) is not None:
            if process.stdin is not None and not process.stdin.closed:
                with suppress(BrokenPipeError):
                    process.stdin.close()
            if self._told is not None:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GOING)
            process.kill()
            process.wait()
        self.scratch.cleanup()


class Told:
    """Our ends of the two pipes to the process that watches."""

    def __init__(self) -> None:
        (self._theirs, self._alive), (self._heard, self._tell) = os.pipe(), os.pipe()
        self._lines: list[dict[str, Any]] = []
        self._rest = b""

    def terms(self, scratch: str, likely: tuple[str, ...], uncontained: bool) -> containment.Terms:
        """What the process is asked for."""
        return containment.Terms(scratch, self._theirs, self._tell, likely, uncontained)

    def started(self, terms: containment.Terms) -> None:
        """The process has its ends: ours of them are closed."""
        os.close(terms.alive)
        os.close(terms.tell)

    def line(self, limit: float, at: int = 0) -> dict[str, Any] | None:
        """A line that was told; None if it does not come within `limit` seconds, {} if it never will."""
        until = time.monotonic() + limit
        while len(self._lines) <= at:
            ready, _, _ = select.select([self._heard], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                return None
            if not (more := os.read(self._heard, 65536)):
                return {}
            *whole, self._rest = (self._rest + more).split(b"\n")
            self._lines += [json.loads(line) for line in whole]
        return self._lines[at]

    def close(self) -> None:
        """Let go: the process ends everything."""
        for pipe in (self._alive, self._heard):
            os.close(pipe)


def _not_contained(why: list[str]) -> NotContained:
    return NotContained(f"it cannot be contained here ({'; '.join(why)}); --rerun-uncontained runs it in a copy")


def nearly(files: Mapping[str, str], others: Mapping[str, str]) -> bool:
    """Whether two sets of files say the same but for numbers that differ by no more than CLOSE."""
    return files.keys() == others.keys() and all(_near(text, others[path]) for path, text in files.items())


def _near(one: str, other: str) -> bool:
    if one == other:
        return True
    a, b = (re.split(r"(\d+(?:\.\d+)?(?:e[-+]?\d+)?)", text) for text in (one, other))
    if len(a) != len(b) or a[::2] != b[::2]:
        return False
    return all(math.isclose(float(x), float(y), rel_tol=CLOSE) for x, y in zip(a[1::2], b[1::2], strict=True))


def _key(tape: Tape, sources: Mapping[str, str]) -> object:
    """What is different in the patched run: while the script still runs, fewer files and variables are known."""
    command = tape.facts.command
    changed = frozenset((path, text) for path, text in sources.items() if text != tape.sources.get(path))
    variables = [(k, v) for k, v in (command.environment if command else ()) if os.environ.get(k) != v]
    return changed, command.args if command else (), tuple(variables)


def _likely(tape: Tape) -> tuple[str, ...]:
    command = tape.facts.command
    return likely(tape.folder, command.cwd if command is not None else "")


def likely(folder: str, cwd: str) -> tuple[str, ...]:
    """Folders in which a script of that folder will probably write."""
    places = (folder, cwd, tempfile.gettempdir(), "/var/tmp", Path.home())
    return tuple(dict.fromkeys(os.path.realpath(place) for place in places if place))
