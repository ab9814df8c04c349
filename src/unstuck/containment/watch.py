"""The process that stays outside: it starts the contained one, holds it to its limits, and ends whatever it left.

It tells its own parent two lines of JSON (the means of containment, then how the script ended), and lives until the
parent lets go of the other pipe, by intention or by its own end. Then everything is killed and scratch is removed.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unstuck.containment import kernel

Enter = Callable[[int], None]
"""A means of containment: returns contained, perhaps in another process, or raises OSError. It may tell of the end of
the script at the given pipe."""

PATIENCE = 5.0
"""Seconds to wait for a view of the files: a network drive may not answer."""
TICK = 0.25
"""Seconds between two looks at the limits."""
LEFT = 5.0
"""Seconds for the last process to go away."""


@dataclass(frozen=True)
class Limits:
    """What a contained script may use."""

    memory: int
    """Bytes of all its processes."""
    disk: int
    """Bytes below scratch."""
    processes: int = 1024

    @staticmethod
    def here(scratch: str) -> Limits:
        """Four fifths of the memory that is free now, and half of the disk, if UNSTUCK_CONTAINMENT_LIMITS says nothing.

        It is for tests: `memory=2e9,disk=1e9,processes=20`.
        """
        given = os.environ.get("UNSTUCK_CONTAINMENT_LIMITS", "")
        said = {k: int(float(v)) for k, _, v in (word.partition("=") for word in given.split(",") if word)}
        return Limits(**{"memory": int(0.8 * _free_memory()), "disk": shutil.disk_usage(scratch).free // 2, **said})


def watch(means: dict[str, Enter], scratch: str, alive: int, tell: int, otherwise: bool) -> str:
    """Start a process contained by the first means that works and return its name there; this one never returns.

    `alive` is the pipe that the parent holds, `tell` the one it reads. `otherwise`: go on though nothing works.
    """
    signal.signal(signal.SIGTERM, lambda *_: os._exit(_ended(scratch)))
    kernel.prctl(kernel.SUBREAPER, 1)
    why, uncontained = [], {"none": lambda _: None} if otherwise else {}
    for name, enter in {**means, **uncontained}.items():
        started = _start(enter, (alive, tell))
        if started is None:
            return name
        child, heard, reason = started
        if not reason:
            _tell(tell, {"means": name, "why": why})
            _hold(child, heard, Limits.here(scratch), scratch, alive, tell)
        why.append(f"{name}: {reason}")
    _tell(tell, {"means": None, "why": why or ["no means is switched on"]})
    select.select([alive], [], [])
    os._exit(_ended(scratch))


def _start(enter: Enter, ours: tuple[int, int]) -> tuple[int, int, str] | None:
    """The child, the pipe it tells its end at, and why it could not be contained; None in the child."""
    heard, told = os.pipe()
    child = os.fork()
    if child:
        os.close(told)
        reason = _first_line(heard)
        if reason:
            _kill_all()
            os.close(heard)
        return child, heard, reason
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for pipe in (*ours, heard):
        os.close(pipe)
    try:
        enter(told)
    except BaseException as error:
        os.write(told, (str(error) or type(error).__name__).splitlines()[0][:400].encode("utf-8", "replace") + b"\n")
        os._exit(1)
    os.write(told, b"\n")
    os.close(told)
    return None


def _first_line(pipe: int) -> str:
    """An empty line is a success."""
    ready, _, _ = select.select([pipe], [], [], PATIENCE)
    if not ready:
        return f"no answer in {PATIENCE:g} seconds"
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(pipe, 1)
        if not more:
            return "it ended at once"
        line += more
    return line.decode().strip()


def _hold(child: int, heard: int, limits: Limits, scratch: str, alive: int, tell: int) -> None:
    """Wait for the child within its limits, tell how it ended, and clean up."""
    ended, broken = os.pidfd_open(child), ""
    while True:
        ready, _, _ = select.select([ended, alive], [], [], TICK)
        if alive in ready:
            os._exit(_ended(scratch))
        if ended in ready:
            break
        broken = _broken(limits, scratch)
        if broken:
            break
    code = None if broken else _code(child, heard)
    _kill_all()
    _tell(tell, {"code": code, "broken": broken})
    select.select([alive], [], [])
    os._exit(_ended(scratch))


def _code(child: int, heard: int) -> int | None:
    """The exit code as `subprocess` has it: that of the child, or the one that the first process inside told."""
    _, status = os.waitpid(child, 0)
    os.set_blocking(heard, False)
    with suppress(BlockingIOError):
        words = os.read(heard, 100).split()
        if words[:1] == [b"ended"]:
            return int(words[1])
    return os.waitstatus_to_exitcode(status)


def _broken(limits: Limits, scratch: str) -> str:
    """Which limit is broken, in words."""
    processes = list(descendants())
    if len(processes) > limits.processes:
        return f"it started more than {limits.processes} processes"
    if sum(map(_resident, processes)) > limits.memory and sum(map(_share, processes)) > limits.memory:
        return f"it used more than {limits.memory / 1e9:.1f} GB of memory"
    if _size(scratch) > limits.disk:
        return f"it wrote more than {limits.disk / 1e9:.1f} GB"
    return ""


def descendants() -> Iterator[int]:
    """Every process that comes from this one; orphans too, which are given to it (PR_SET_CHILD_SUBREAPER)."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                parent = int(Path("/proc", name, "stat").read_bytes().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    queue = list(children.get(os.getpid(), ()))
    while queue:
        pid = queue.pop()
        yield pid
        queue += children.get(pid, ())


def _resident(pid: int) -> int:
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    return 0


def _share(pid: int) -> int:
    """What it holds, pages that several processes share divided among them."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(pid)


def _size(folder: str) -> int:
    """Bytes on the disk below a folder."""
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_blocks * 512
    return total


def _free_memory() -> int:
    """Bytes that are available to this machine and to this group of processes."""
    found = {}
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            found[line.split(":")[0]] = int(line.split()[1]) * 1024
    free = found.get("MemAvailable", found.get("MemTotal", 1 << 33))
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with suppress(OSError, ValueError):  # "max" is no number
            group = Path("/sys/fs/cgroup")
            free = min(free, int((group / limit).read_text()) - int((group / used).read_text()))
    return max(free, 1 << 28)


def _kill_all() -> None:
    until = time.monotonic() + LEFT
    while (left := list(descendants())) and time.monotonic() < until:
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def _ended(scratch: str) -> int:
    _kill_all()
    removed(scratch)
    return 0


def removed(folder: str) -> None:
    """Remove a folder with all that is below it, whatever its mode: an overlay leaves folders that nobody may read."""
    for root, folders, _ in os.walk(folder):
        for name in folders:
            path = os.path.join(root, name)
            with suppress(OSError):
                if stat.S_IMODE(os.lstat(path).st_mode) & 0o700 != 0o700 and not os.path.islink(path):
                    os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def _tell(pipe: int, message: dict[str, object]) -> None:
    with suppress(BrokenPipeError):
        os.write(pipe, json.dumps(message).encode() + b"\n")
