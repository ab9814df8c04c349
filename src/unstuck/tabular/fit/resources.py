"""What a fit may use: time, and threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

KEPT = 0.08
"""The share of the time that is kept for what follows the training."""


@dataclass(frozen=True)
class Resources:
    """The end of a fit on the clock `time.monotonic`, and the number of threads; None: no limit, and one thread."""

    end: float | None = None
    jobs: int | None = None

    @classmethod
    def of(cls, seconds: float | None, jobs: int | None = None) -> Resources:
        """From now on, for so many seconds."""
        return cls(None if seconds is None else time.monotonic() + (1 - KEPT) * seconds, jobs)

    def until(self, share: float) -> float | None:
        """The end of a step that may take a share of the time left; None without a limit."""
        now = time.monotonic()
        return None if self.end is None else now + share * max(self.end - now, 0.0)

    def allows(self, seconds: float) -> bool:
        """Whether so many seconds are left."""
        return self.end is None or time.monotonic() + seconds < self.end

    def each(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of some tasks, in parallel threads where more than one may run."""
        if self.jobs in (None, 1):
            return [task() for task in tasks]
        from joblib import Parallel, delayed

        return list(Parallel(n_jobs=self.jobs, require="sharedmem")(delayed(task)() for task in tasks))


UNLIMITED = Resources()
