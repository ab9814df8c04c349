"""Run many small training scripts, each in a fork of one process that has imported torch already.

A script then costs its own seconds and not the three of the imports. It sees what `python script.py` would show it:
`__main__`, argv, its own folder first on sys.path.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import NamedTuple

Value = float | None


class Ran(NamedTuple):
    """What one run left: name and value of its RESULT line (None where it failed), seconds, the last error line."""

    name: str
    value: Value
    seconds: float
    error: str


def result(text: str) -> tuple[str, float] | None:
    """The last line `RESULT name value` of a script's output."""
    found = re.findall(r"^RESULT (\S+) (\S+)$", text, re.MULTILINE)
    return (found[-1][0], float(found[-1][1])) if found else None


def warm() -> None:
    """Import what the scripts import, once; a first step of each optimizer imports two seconds' worth by itself.

    No backward here: a process that has run one cannot be forked into others that do.
    """
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import sklearn.datasets
    import sklearn.metrics
    import sklearn.model_selection
    import sklearn.preprocessing  # noqa: F401
    import torch

    torch.set_num_threads(1)
    weight = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    for optimizer in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop):
        optimizer([weight], lr=0.1).step()


def _child(script: Path, seed: int, out: Path, err: Path) -> None:
    """The forked process: never returns."""
    code = 1
    try:
        for number, sink in ((1, out), (2, err)):
            os.dup2(os.open(sink, os.O_WRONLY | os.O_CREAT), number)
        os.environ["SEED"] = str(seed)
        sys.argv = [str(script)]
        sys.path[0] = str(script.parent)
        os.chdir(script.parent)
        runpy.run_path(str(script), run_name="__main__")
        sys.stdout.flush()
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


def run(script: Path, seed: int) -> Ran:
    """One run of one script."""
    with tempfile.TemporaryDirectory() as scratch:
        out, err = Path(scratch) / "out", Path(scratch) / "err"
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            _child(script.resolve(), seed, out, err)
        _, status = os.waitpid(child, 0)
        seconds = time.perf_counter() - start
        got = result(out.read_text()) if status == 0 and out.exists() else None
        last = (err.read_text().strip().splitlines() or [""])[-1] if status and err.exists() else ""
        return Ran(got[0], got[1], seconds, "") if got else Ran("", None, seconds, last)
