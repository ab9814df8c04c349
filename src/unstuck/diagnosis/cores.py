"""The processor cores that a running script leaves, and processes that are kept to them. Linux only; elsewhere none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

WATCHED = 1.0
"""Seconds over which idle time is measured."""
NEARLY = 0.25
"""A core that was used for less than this share is a spare one."""
GROUP = Path("/sys/fs/cgroup")
"""A container's share of the processors: https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max, cpu.stat)."""


def spare(seconds: float = WATCHED) -> frozenset[int]:
    """Cores to use beside what runs now: as many as are idle, and never all of them. Takes that many seconds."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    mine = sorted(os.sched_getaffinity(0))
    try:
        idle = _idle(seconds)
    except (OSError, ValueError, IndexError):
        return frozenset()
    count = min(int(idle + NEARLY), len(mine) - 1)
    return frozenset(mine[len(mine) - count :]) if count > 0 else frozenset()


def _idle(seconds: float) -> float:
    """Cores that were idle, on the machine and in this container's share of it."""
    began, machine, group = time.monotonic(), _idled(), _used()
    time.sleep(seconds)
    passed = time.monotonic() - began
    free = (_idled() - machine) / passed
    quota = _quota()
    return free if quota is None or group is None else min(free, quota - ((_used() or 0.0) - group) / passed)


def _idled() -> float:
    """Seconds that the machine's cores have been idle, or waited for a disk, in all."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    return (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")


def _quota() -> float | None:
    with suppress(OSError, ValueError):
        most, period = (GROUP / "cpu.max").read_text(encoding="ascii").split()
        return None if most == "max" else int(most) / int(period)
    return None


def _used() -> float | None:
    """Seconds of processor time that the container has used."""
    with suppress(OSError, ValueError, IndexError):
        return int((GROUP / "cpu.stat").read_text(encoding="ascii").split()[1]) / 1e6
    return None


@contextmanager
def kept_to(cores: Iterable[int]) -> Iterator[None]:
    """This thread, and what it starts, on those cores only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def keep(process: int, cores: Iterable[int]) -> None:
    """Keep every thread of a process, and of those that it started, to those cores."""
    wanted = frozenset(cores)
    for one in _family(process):
        with suppress(OSError):
            for thread in Path(f"/proc/{one}/task").iterdir():
                with suppress(OSError):
                    os.sched_setaffinity(int(thread.name), wanted)


def _family(process: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything; the parent is the second word after it.
            parent = int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return found
