"""The command as one of several ranks that a launcher started: rank 0 reports, the others end as their script does."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from unstuck.cli.parser import EFFORT
from unstuck.cli.terminal import SICK, told
from unstuck.recording import session
from unstuck.recording.budget import limits
from unstuck.recording.ranks import Launch
from unstuck.recording.script import Target, check

REPORTED = "unstuck: exit code 1 says that a cause or a suspect was found; the report stands above"
"""What torchrun shows as the reason why rank 0 ended with another exit code than 0."""


def beside(launch: Launch, target: Target, options: argparse.Namespace) -> int:
    """Record a rank other than 0; the exit code is the script's own.

    A rank that failed ends after the report: the launcher ends all others as soon as it sees one that failed.
    """
    if check(target) is not None:
        return SICK  # rank 0 says why
    allowed = limits(options.steps, options.seconds, EFFORT[options.effort])
    code = session.record(target, Path(), allowed, meeting=launch.folder, beside=True)
    if code:
        launch.await_report()
    return code if code >= 0 else 128 - code


@contextmanager
def reporting(launch: Launch | None) -> Iterator[Callable[[int], int]]:
    """Around the report; gives what turns its exit code into the process's."""
    if launch is None:
        yield lambda code: code
        return
    with launch.reporting():
        yield lambda code: _left(launch, code)


def _left(launch: Launch, code: int) -> int:
    if code and launch.restarted:
        return told(f"exit code 0 instead of {code}: the launcher would start all ranks again (--max-restarts)", 0)
    if code == SICK:
        _explain()
    return code


def _explain() -> None:
    """Tell torchrun, in the file that it has for errors, that this exit code is no failure."""
    file = os.environ.get("TORCHELASTIC_ERROR_FILE")
    if file:
        reason = {"message": REPORTED, "extraInfo": {"py_callstack": REPORTED, "timestamp": str(int(time.time()))}}
        with suppress(OSError):
            Path(file).write_text(json.dumps({"message": reason}), encoding="utf-8")
