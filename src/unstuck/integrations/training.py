"""What every framework's callback does: watch one training, look at it now and then, report at its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from unstuck.integrations.light_watch import LightWatch, warned
from unstuck.integrations.watching import Effort, NothingRecorded, Report, watch

Told = Callable[[Report], object]


def printed(report: Report) -> None:
    """Print the report to stderr."""
    print(report.text, file=sys.stderr)


class Training:
    """One training, from `begin` to `end`; both may be called more than once.

    Parameters
    ----------
    report
        called with the diagnosis at the end; None makes none, and `run.report()` gives it on demand.
    folder
        where the person's sources are; by default the current folder.
    effort
        how long the experiments may take.
    look
        whether a long run is looked at while it trains (`unstuck.integrations.light_watch`).
    """

    def __init__(
        self,
        report: Told | None = printed,
        folder: str | Path | None = None,
        effort: Effort = "normal",
        look: bool = True,
    ) -> None:
        self._report, self._folder, self._look = report, folder, look
        self._effort: Effort = effort
        self.run: watch | None = None
        """The recording; `run.report()` diagnoses it."""
        self._light: LightWatch | None = None

    def begin(self) -> None:
        """The training begins; in a process that is not the first of several, nothing is done."""
        if self.run is not None or _rank():
            return
        self.run = watch(self._folder)
        self.run.begin()
        self._light = LightWatch(self.run, warned) if self._look else None

    def step(self) -> None:
        """A training step is done."""
        if self._light is not None:
            self._light.step()

    def end(self, error: BaseException | None = None) -> None:
        """The training is over, by `error` if it failed: report it."""
        run, light = self.run, self._light
        if run is None:
            return
        if light is not None:
            light.close()
            self._light = None
        first = run.recording
        run.end(error)
        if first and self._report is not None:
            try:
                self._report(run.report(self._effort))
            except NothingRecorded as reason:
                print(f"unstuck: {reason}", file=sys.stderr)
            except Exception as failed:  # a report that fails must not cost the training
                print(f"unstuck: no report: {type(failed).__name__}: {failed}", file=sys.stderr)


def _rank() -> int:
    """The process's place among those that train together."""
    from torch import distributed

    return distributed.get_rank() if distributed.is_available() and distributed.is_initialized() else 0
