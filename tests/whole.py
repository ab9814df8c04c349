"""The whole pipeline in one call: a script is recorded in a process of its own, and its tape is diagnosed here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from unstuck.diagnosis.model import Diagnosis, Finding
from unstuck.diagnosis.patch import apply
from unstuck.diagnosis.pipeline import Options, diagnose
from unstuck.tape.files import load

SURROUNDINGS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "SEED": "0", "MPLBACKEND": "Agg"}


def some(names: Iterable[str], every: int = 4) -> list[Any]:
    """The parameters of a test of which the default suite runs every n-th, and `make net` the others."""
    return [pytest.param(name, marks=() if at % every == 0 else pytest.mark.net) for at, name in enumerate(names)]


@dataclass(frozen=True)
class Whole:
    """A script, its folder, and its diagnosis."""

    folder: Path
    diagnosis: Diagnosis

    def loud(self, fault: str) -> list[Finding]:
        """Causes and suspects of that name."""
        return [f for f in (*self.diagnosis.causes, *self.diagnosis.suspects) if f.fault == fault]

    def patched(self) -> Path:
        """The folder with the patch applied; the originals stay beside the changed files."""
        assert self.diagnosis.patch is not None
        apply(self.diagnosis.patch.files, self.folder)
        return self.folder


def run(folder: Path, name: str = "train.py") -> subprocess.CompletedProcess[str]:
    """The script under plain Python."""
    command = [sys.executable, name]
    return subprocess.run(command, cwd=folder, env={**os.environ, **SURROUNDINGS}, capture_output=True, text=True)


def record(folder: Path, name: str = "train.py", arguments: tuple[str, ...] = ()) -> Path:
    """The tape folder of a script's run."""
    tape = folder.parent / f"{folder.name}-tape"
    command = [sys.executable, "-m", "unstuck.recording", "--out", str(tape), "--", name, *arguments]
    subprocess.run(command, cwd=folder, env={**os.environ, **SURROUNDINGS}, capture_output=True, check=False)
    return tape


def diagnosed(text: str, folder: Path, prove: bool = True, arguments: tuple[str, ...] = ()) -> Whole:
    """Write a script into a new folder, record it, and diagnose its tape."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(text, encoding="utf-8")
    return Whole(folder, diagnose(record(folder, arguments=arguments), Options(prove=prove)))


def skill(folder: Path) -> float:
    """The skill that a run of the script ends with."""
    from unstuck.diagnosis.whole_runs import run_of

    return run_of(load(record(folder))).known
