"""Record in a process that a recorded one has started: its tape lies beside the others, and nobody waits for it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from unstuck.recording.failure import described
from unstuck.recording.launch import BudgetSpent, unframe
from unstuck.recording.options import limits
from unstuck.recording.ranks import Meeting
from unstuck.recording.recorder import Recorder
from unstuck.tape.files import save


class Ended(BudgetSpent, SystemExit):
    """The budget is spent: multiprocessing ends the process with exit code 0, without a traceback."""


def begin(where: Path, folder: Path, words: Sequence[str], what: str, daemon: bool) -> Callable[[], bool]:
    """Begin to record this process; the function to call at its end tells whether the budget ended it."""
    meeting = Meeting(where)
    out = meeting.join(what)
    if daemon:
        meeting.mark("daemon")
    recorder = Recorder(folder, limits(words), meeting)
    recorder.budget.raises = Ended
    recorder.attach()

    def end() -> bool:
        error = sys.exception() if hasattr(sys, "exception") else sys.exc_info()[1]  # multiprocessing's `finally`
        recorder.detach()
        try:
            if recorder.trained:
                failure = _failure(error, recorder)
                stopped = recorder.budget.spent or ("script failed: " + failure["line"] if failure else "script ended")
                save(recorder.tape(what, stopped, failure), out)
        finally:
            meeting.leave()
        return bool(recorder.budget.spent) or meeting.stop() is not None

    return end


def _failure(error: BaseException | None, recorder: Recorder) -> dict | None:
    # mp.spawn keeps the exception for the parent and leaves by SystemExit.
    while isinstance(error, SystemExit):
        error = error.__context__
    if error is None or isinstance(error, BudgetSpent):
        return None
    unframe(error)
    return described(error, recorder.observed.call_sites)
