"""What a fit may use: time, and threads, processes or machines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

KEPT = 0.08
"""The share of the time that is kept for what follows the training."""


class Machines(Protocol):
    """Runs tasks elsewhere."""

    def each(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of some tasks."""
        ...


@dataclass(frozen=True)
class Resources:
    """The end of a fit on the clock `time.monotonic`, and the number of jobs by joblib's convention; None: no limit,
    and one job, or as many as an active `joblib.parallel_config` says."""

    end: float | None = None
    jobs: int | None = None
    machines: Machines | None = None
    """Runs tasks in place of joblib."""

    @classmethod
    def of(cls, seconds: float | None, jobs: int | None = None) -> Resources:
        """From now on, for so many seconds."""
        return cls(None if seconds is None else time.monotonic() + (1 - KEPT) * seconds, jobs)

    def __reduce__(self) -> tuple[Any, ...]:
        """On another machine the clock differs, but not the time left."""
        return _resumed, (None if self.end is None else self.end - time.monotonic(), self.jobs)

    @property
    def alone(self) -> Resources:
        """The same time, for one job."""
        return replace(self, jobs=1, machines=None)

    @property
    def parallel(self) -> bool:
        """Whether more than one job may run. Without a number of jobs joblib is not imported: who configures it has
        imported it."""
        if self.machines is not None:
            return True
        if self.jobs is None and "joblib" not in sys.modules:
            return False
        from joblib import effective_n_jobs

        return effective_n_jobs(self.jobs) > 1  # type: ignore[arg-type]

    def until(self, share: float) -> float | None:
        """The end of a step that may take a share of the time left; None without a limit."""
        now = time.monotonic()
        return None if self.end is None else now + share * max(self.end - now, 0.0)

    def allows(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return self.end is None or time.monotonic() + seconds < self.end

    def each(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of some tasks, where more than one may run by joblib's active backend: threads unless
        `joblib.parallel_config` names another one. For others, tasks and results must be picklable, and what a task
        changes is lost."""
        if len(tasks) < 2 or not self.parallel:
            return [task() for task in tasks]
        if self.machines is not None:
            return self.machines.each(tasks)
        from joblib import Parallel, delayed

        return list(Parallel(n_jobs=self.jobs, prefer="threads")(delayed(_called)(task) for task in tasks))


def _resumed(left: float | None, jobs: int | None) -> Resources:
    return Resources(None if left is None else time.monotonic() + left, jobs)


def _called(task: Callable[[], Any]) -> Any:
    return task()


UNLIMITED = Resources()
