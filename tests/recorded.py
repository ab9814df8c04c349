"""Record a small script inside the test's own process: as the recording child does, without importing torch again."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import torch

from unstuck.diagnosis.model import Finding
from unstuck.recording import theirs
from unstuck.recording.budget import limits
from unstuck.recording.failure import described
from unstuck.recording.launch import BudgetSpent
from unstuck.recording.recorder import Recorder
from unstuck.tape.files import load, save
from unstuck.tape.model import Command, Tape

Record = Callable[..., Tape]
"""The fixture `record(text, steps=..., seconds=...)`."""
Findings = Callable[..., list[Finding]]
"""The fixture `findings(text or tape, *faults)`."""


def tape_of(text: str, folder: Path, *, steps: int = 20_000, seconds: float = 20.0) -> Tape:
    """The tape of a script, through the disk; what the script prints is swallowed, what it raises is on the tape."""
    script = folder / "train.py"
    script.write_text(text, encoding="utf-8")
    with _without_tests():
        return _recorded(script, folder, steps, seconds)


def _recorded(script: Path, folder: Path, steps: int, seconds: float) -> Tape:
    recorder = Recorder(folder, limits(steps, seconds))
    error = _run(script, recorder)
    stopped = recorder.budget.spent or (f"script failed: {type(error).__name__}: {error}" if error else "script ended")
    command = Command(str(script), None, (), str(folder), steps, seconds)
    told = described(error, recorder.observed.call_sites) if error else None
    save(recorder.tape(script.name, stopped, told, command), folder / "tape")
    return load(folder / "tape")


@contextlib.contextmanager
def _without_tests() -> Iterator[None]:
    """The tests' own files, whose frames lie around the script's here, are not the person's."""
    libraries = (*theirs._libraries(), f"{Path(__file__).resolve().parent}{os.sep}")
    with mock.patch.object(theirs, "_libraries", lambda: libraries):
        yield


def _run(script: Path, recorder: Recorder) -> Exception | None:
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=__builtins__)
    held, where, arguments = sys.modules["__main__"], Path.cwd(), sys.argv
    sys.modules["__main__"], sys.argv = main, [str(script)]
    os.chdir(script.parent)
    torch.manual_seed(0)
    try:
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
            recorder.attach()
            exec(compile(script.read_text(), str(script), "exec"), main.__dict__)
    except BudgetSpent:
        return None
    except Exception as error:
        return error
    finally:
        recorder.detach()
        sys.modules["__main__"], sys.argv = held, arguments
        os.chdir(where)
    return None
