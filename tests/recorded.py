"""Record a small script inside the test's own process: as the child does, without paying for another torch."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from types import ModuleType

import torch

from unstuck.recording.__main__ import _described
from unstuck.recording.launch import Enough
from unstuck.recording.recorder import Recorder
from unstuck.tape.model import Tape, load


def tape_of(text: str, folder: Path, *, steps: int = 20_000, seconds: float = 20.0) -> Tape:
    """The tape of a script, through the disk; what the script prints is swallowed, what it raises is on the tape."""
    script = folder / "train.py"
    script.write_text(text, encoding="utf-8")
    recorder = Recorder(folder, steps=steps, seconds=seconds)
    error = _run(script, recorder)
    stopped = recorder.budget.spent or (f"script failed: {type(error).__name__}: {error}" if error else "script ended")
    told = _described(error, recorder) if error else None
    tape = recorder.tape(script.name, stopped, told)
    tape.facts["command"] = {
        "path": str(script), "module": None, "args": [], "cwd": str(folder), "folder": str(folder),
        "steps": steps, "seconds": seconds,
    }  # fmt: skip
    tape.save(folder / "tape")
    return load(folder / "tape")


def _run(script: Path, recorder: Recorder) -> BaseException | None:
    main = ModuleType("__main__")
    main.__dict__.update(__file__=str(script), __builtins__=__builtins__)
    held, where, modules = sys.modules["__main__"], Path.cwd(), sys.argv
    sys.modules["__main__"], sys.argv = main, [str(script)]
    os.chdir(script.parent)
    torch.manual_seed(0)
    try:
        with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")):
            recorder.attach()
            exec(compile(script.read_text(), str(script), "exec"), main.__dict__)
    except Enough:
        return None
    except Exception as error:
        return error
    finally:
        recorder.detach()
        sys.modules["__main__"], sys.argv = held, modules
        os.chdir(where)
    return None
