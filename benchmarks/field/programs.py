"""The programs to run, from a manifest that the caller writes.

[[program]]
name = "vae"
source = "pytorch/examples"            # for the table
folder = "pytorch-examples"            # copied afresh for each run; relative to the manifest
cwd = "vae"                            # inside the folder; "." by default
argv = ["main.py", "--epochs", "2"]
env = { PYTHONPATH = "." }             # relative entries of PYTHONPATH are those of the folder
varies = 'time [\\d.]+ms'              # parts of stdout that no two runs share
score = 'accuracy ([\\d.]+)'           # the last match on stdout is the result; read by `mutants`
better = "higher"                      # or "lower"
"""

from __future__ import annotations

import math
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Program:
    """One command in one folder."""

    name: str
    source: str
    folder: Path
    argv: tuple[str, ...]
    cwd: str = "."
    env: dict[str, str] = field(default_factory=dict)
    varies: str = ""
    score: str = ""
    better: str = "higher"
    margin: float = 0.1
    mutated: str = ""

    def result(self, out: str) -> float | None:
        """The number that the program prints as its result; None where it prints none."""
        found = re.findall(self.score, out) if self.score else []
        return float(found[-1]) if found else None

    def worse(self, result: float | None, base: float) -> bool:
        """Whether a result is worse than another by more than the margin; so is none, and NaN."""
        loss = math.inf if result is None else (base - result if self.better == "higher" else result - base)
        return not loss <= self.margin

    def surroundings(self, copy: Path, home: Path) -> dict[str, str]:
        """The environment of a run in this copy: one thread, a home of its own, no tracker or hub on the network."""
        paths = [str(copy / p) for p in self.env.get("PYTHONPATH", "").split(os.pathsep) if p]
        ours = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        fixed = {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "MPLBACKEND": "Agg", "PYTHONHASHSEED": "0"}
        offline = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "HOME": str(home)}
        return {**os.environ, **fixed, **offline, **self.env, "PYTHONPATH": os.pathsep.join([*ours, *paths])}


def read(manifest: Path) -> tuple[Program, ...]:
    """The programs of a manifest, in its order.

    Raises:
        TypeError: an entry lacks a field or has one too many.
    """
    entries = tomllib.loads(manifest.read_text())["program"]
    return tuple(_program(entry, manifest.resolve().parent) for entry in entries)


def _program(entry: dict, beside: Path) -> Program:
    folder, argv = beside / entry["folder"], tuple(entry["argv"])
    return Program(**{**entry, "folder": folder, "argv": argv})
