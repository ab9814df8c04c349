"""torchrun's own failure message is left out only where all that failed is the exit code of a report."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from typing import Any

import pytest
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from unstuck.cli.several import REPORTED
from unstuck.integrations import torchrun


def _failure(message: Any) -> ProcessFailure:
    failure = ProcessFailure(0, 1, 1, "<N/A>")
    failure.message = message
    return failure


def test_a_report_is_told_from_a_failure() -> None:
    ours = _failure({"message": REPORTED, "extraInfo": {"py_callstack": REPORTED, "timestamp": "1"}})
    theirs = _failure("Signal 11 (SIGSEGV) received by PID 1")
    assert torchrun.reported(ChildFailedError("unstuck", {0: ours}))
    assert not torchrun.reported(ChildFailedError("unstuck", {0: ours, 1: theirs}))
    assert not torchrun.reported(ValueError("no rank at all"))


@pytest.mark.parametrize(
    ("words", "ours"), [(["-m", "unstuck", "run", "x.py"], True), (["train.py", "unstuck"], False)]
)
def test_only_a_launch_of_ours_is_touched(words: list[str], ours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[BaseException] = []
    hook = lambda kind, error, trace: shown.append(error)
    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(sys, "argv", ["torchrun", *words])
    monkeypatch.setattr(os, "environ", {})
    torchrun.handler()
    assert (sys.excepthook is not hook) == ours == ("TORCHELASTIC_ERROR_FILE" in os.environ)
    failed = ValueError("theirs")
    sys.excepthook(ValueError, failed, None)
    assert shown == [failed]


def test_torchrun_finds_it() -> None:
    found = [e for e in entry_points(group="torchrun.handlers") if e.name == "unstuck"]
    if not found:
        pytest.skip("the package was installed before it had this entry point")
    assert found[0].load() is torchrun.handler
