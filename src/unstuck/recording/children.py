"""Processes that the script starts: those that train together with it are recorded, other Python ones are named.

Two places are watched: `subprocess.Popen`, where torchrun, Accelerate and Lightning start their ranks, and the start of
a `multiprocessing` process. What the script can look at (`Popen.args`, the process object after its start) stays as it
is. Library workers (DataLoader, pools, managers) are left alone, and a plain fork leaves all our hooks behind.
"""

from __future__ import annotations

import inspect
import multiprocessing
import multiprocessing.process
import multiprocessing.util
import os
import re
import signal
import subprocess
import sys
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unstuck.recording.ranks import Meeting, alive
from unstuck.recording.script import Target
from unstuck.recording.theirs import Theirs

SPAWNED = "torch.multiprocessing.spawn"
"""The module whose processes run a function of somebody else: mp.spawn."""
PYTHON = re.compile(r"python(\d+(\.\d+)*)?(\.exe)?")
VALUED = ("-W", "-X", "--check-hash-based-pycs")
"""The interpreter's options that take the word after them."""
SIGNAL = getattr(signal, "SIGRTMAX", 0) and signal.SIGRTMAX - 3
"""By this a child tells that it stopped because the budget is spent (0: the system has no such signals)."""


class Children:
    """What a recorded process starts. `words` are the budget's options; `begin(order)` records in a child."""

    def __init__(self, meeting: Meeting, words: Sequence[str], folder: Path, launcher: bool) -> None:
        self.meeting, self.words, self.folder, self.launcher = meeting, tuple(words), folder, launcher
        self.named: list[str] = []
        """What the Python children run that are not recorded."""
        self._patched: list[tuple[Any, str, Any, Any]] = []
        self._stopped: list[Path] = []
        """The children that have stopped the script already."""
        self._over = False

    def attach(self, spent: Callable[[], None]) -> None:
        """Watch; `spent` is called in the main thread once all recorded children have stopped by their budget."""
        self._patch(subprocess.Popen, "_execute_child", self._executing)
        self._patch(multiprocessing.process.BaseProcess, "start", self._starting)
        if SIGNAL and signal.getsignal(SIGNAL) is signal.SIG_DFL:
            signal.signal(SIGNAL, lambda *_: self._told(spent))

    def detach(self) -> None:
        """Leave everything as it was; a signal that comes now is ignored, since its default would end the process."""
        self._over = True
        for place, name, original, ours in reversed(self._patched):
            if getattr(place, name) is ours:
                setattr(place, name, original)
        self._patched = []

    def _patch(self, place: Any, name: str, around: Callable[[Any], Any]) -> None:
        original = getattr(place, name, None)
        if original is not None:
            ours = around(original)
            for part in ("__module__", "__name__", "__qualname__", "__doc__"):
                setattr(ours, part, getattr(original, part, None))
            setattr(place, name, ours)
            self._patched.append((place, name, original, ours))

    def _told(self, spent: Callable[[], None]) -> None:
        """A child has stopped by its budget. Each of several says so, and the last ones may do so at once."""
        others = self.meeting.others()
        if self._over or others == self._stopped or any(Meeting.running(f) for f in others):
            return
        self._stopped = others
        spent()

    # -- subprocess --------------------------------------------------------------------------------------------------

    def _executing(self, original: Any) -> Any:
        shape, mine = inspect.signature(original), os.getpid()

        def _execute_child(popen: Any, args: Any, *rest: Any, **named: Any) -> Any:
            try:
                given = shape.bind(popen, args, *rest, **named).arguments if os.getpid() == mine else {}
                args = self._command(args, given) if given and not given.get("shell") else args
            except Exception:  # another version of Python: the child runs as it is
                pass
            return original(popen, args, *rest, **named)

        return _execute_child

    def _command(self, args: Any, given: Mapping[str, Any]) -> Any:
        """The command of a child: the recorder's, where it trains together with others; else as it is."""
        words = [os.fsdecode(word) for word in args] if isinstance(args, list | tuple) else []
        if not words or not PYTHON.fullmatch(Path(words[0]).name) or (at := _start(words)) is None:
            return args
        if words[at:][:2] == ["-m", "unstuck"] or words[at : at + 2] == ["-m", "unstuck.recording"]:
            return args
        same = words[0] == sys.executable and given.get("executable") in (None, words[0])
        environment = os.environ if given.get("env") is None else given["env"]
        if not same or not (self.launcher or _ranked(environment)):
            self.named.append(words[at + 1] if words[at] == "-m" else Path(words[at]).name)
            return args
        where = ["--beside", "--ranks", str(self.meeting.folder)]
        return [*words[:at], "-m", "unstuck.recording", *where, *self.words, "--", *words[at:]]

    # -- multiprocessing ---------------------------------------------------------------------------------------------

    def _starting(self, original: Any) -> Any:
        def start(process: Any) -> Any:
            what = _theirs(process, self.folder)
            if not what:
                return original(process)
            method = process._start_method or multiprocessing.get_start_method()  # which start() settles too
            order = Order(self.meeting.folder, self.folder, self.words, what, method == "spawn", process.daemon)
            multiprocessing.util.register_after_fork(order, Order.begin)  # as long as the order lives
            process._unstuck = order
            try:
                return original(process)
            finally:
                del process._unstuck

        return start


class Order:
    """What a multiprocessing child has to do: record itself. It travels with the process object."""

    def __init__(
        self, meeting: Path, folder: Path, words: tuple[str, ...], what: str, spawned: bool, daemon: bool
    ) -> None:
        self.meeting, self.folder, self.words, self.what, self.parent = meeting, folder, words, what, os.getpid()
        self.spawned, self.daemon = spawned, daemon

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In the child: begin now or, where multiprocessing still has to clean up what a fork left, after that."""
        self.__dict__.update(state)
        if self.spawned:
            self._begin()
        else:
            multiprocessing.util.register_after_fork(self, Order.begin)

    def begin(self) -> None:
        """After a fork, in the child."""
        current = multiprocessing.process.current_process()
        if os.getpid() != self.parent and not self.spawned and getattr(current, "_unstuck", None) is self:
            self._begin()  # and not in a child of the child

    def _begin(self) -> None:
        try:
            from unstuck.recording.beside import begin

            end = begin(self.meeting, self.folder, self.words, self.what, self.daemon)
        except Exception:  # the child runs without us
            if os.environ.get("UNSTUCK_DEBUG"):
                traceback.print_exc()
            return
        multiprocessing.util.Finalize(None, self.end, (end,), exitpriority=10**6)

    def end(self, end: Callable[[], bool]) -> None:
        """In the child, after its function; the parent is told where the budget ended it."""
        if end() and SIGNAL and alive(self.parent):
            os.kill(self.parent, SIGNAL)


def is_launcher(target: Target) -> bool:
    """Whether what is to be run is an installed module or command: the training is done by what it starts."""
    from unstuck.recording.script import source

    if target.module is None:
        return Path(target.name).absolute().parent == Path(sysconfig.get_path("scripts"))
    try:
        origin = source(target)
    except (LookupError, OSError):
        return False
    return origin is not None and _installed(origin)


def _start(words: list[str]) -> int | None:
    """Where, in a Python command, the script or `-m` stands; None for `-c` and the like."""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "-m":
            return at if at + 1 < len(words) else None
        if words[at] in ("-", "-c") or words[at].startswith("-c"):
            return None
        at += 2 if words[at] in VALUED else 1
    return at if at < len(words) else None


def _ranked(environment: Mapping[Any, Any]) -> bool:
    """Whether a launcher gives the child a rank among several."""
    plain = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
    world = plain.get("WORLD_SIZE", "")
    return world.isdigit() and int(world) > 1 and ("RANK" in plain or "LOCAL_RANK" in plain)


def _theirs(process: Any, folder: Path) -> str:
    """The name of what a process runs, where it is the person's code (or may be); "" for the workers of libraries."""
    target = getattr(process, "_target", None)
    if getattr(target, "__module__", "") == SPAWNED:
        function = process._args[0] if process._args else target
        return getattr(function, "__qualname__", type(function).__name__)
    place = type(process) if target is None else inspect.unwrap(getattr(target, "func", target))
    if type(process).run is multiprocessing.process.BaseProcess.run and target is None:
        return ""
    file = getattr(sys.modules.get(getattr(place, "__module__", "")), "__file__", None)
    if file is None or Theirs(folder).relative(Path(file)) is None:
        return ""
    return getattr(place, "__qualname__", type(place).__name__)


def _installed(file: Path) -> bool:
    folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return any(file.resolve().is_relative_to(Path(folder).resolve()) for folder in folders if folder)
