"""One subject under the tool, and the tool's patch at another seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copy

from benchmarks.published.subject import HELPERS, SCRIPTS, Subject

SEED, OTHER_SEED = 0, 7
"""Seed of the diagnosed run, and of the run with the patch."""


@dataclass(frozen=True)
class Row:
    """What the tool said of a subject; JSON of one line."""

    name: str
    code: int | None
    """Exit code; none where the limit ended the run."""
    seconds: float
    state: str | None = None
    causes: tuple[str, ...] = ()
    suspects: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    proven: bool = False
    """Whether the patch was verified by a rerun of the tool's own."""
    patched: float | None = None
    """Result of the patched script at another seed; none where there is no patch or no result."""

    def line(self) -> str:
        """The row as one line of JSON."""
        return json.dumps(asdict(self))


def tried(subject: Subject, limit: float, effort: str = "normal") -> Row:
    """The subject under `unstuck run`, in a folder of its own; at most `limit` seconds."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = _laid_out(subject.script(), Path(scratch), subject.name)
        words = ["-m", "unstuck", "run", "--effort", effort, "--json", "said.json", "--patch", "fix.patch"]
        start = time.monotonic()
        code, _ = _run([*words, f"{subject.name}.py"], folder, SEED, limit)
        row = Row(subject.name, code, round(time.monotonic() - start, 1))
        said = folder / "said.json"
        return _filled(row, json.loads(said.read_text()), folder, limit) if said.exists() else row


def result(text: str, name: str, seed: int, limit: float) -> float | None:
    """The last number that a script prints as `RESULT name number`, or none."""
    with tempfile.TemporaryDirectory() as scratch:
        return _printed(_run([f"{name}.py"], _laid_out(text, Path(scratch), name), seed, limit)[1])


def _filled(row: Row, said: dict, folder: Path, limit: float) -> Row:
    roles = {role: [f["fault"] for f in said["findings"] if f["role"] == role] for role in ("suspect", "hint")}
    return Row(
        *(row.name, row.code, row.seconds),
        state=said.get("state"),
        causes=tuple(dict.fromkeys(cause["fault"] for cause in said["causes"])),
        suspects=tuple(dict.fromkeys(roles["suspect"])),
        hints=tuple(dict.fromkeys(roles["hint"])),
        proven=bool((said.get("patch") or {}).get("proven")),
        patched=_patched(folder, row.name, limit),
    )


def _patched(folder: Path, name: str, limit: float) -> float | None:
    patch = folder / "fix.patch"
    if not patch.exists() or not patch.stat().st_size:
        return None
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    if subprocess.run(["git", "apply", "fix.patch"], cwd=folder).returncode:
        return None
    return _printed(_run([f"{name}.py"], folder, OTHER_SEED, limit)[1])


def _laid_out(text: str, folder: Path, name: str) -> Path:
    for helper in HELPERS:
        copy(SCRIPTS / helper, folder / helper)
    (folder / f"{name}.py").write_text(text)
    return folder


def _run(words: list[str], folder: Path, seed: int, limit: float) -> tuple[int | None, str]:
    surroundings = os.environ | {"SEED": str(seed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    try:
        done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return None, ""
    return done.returncode, done.stdout


def _printed(out: str) -> float | None:
    found = [line.split()[2] for line in out.splitlines() if line.startswith("RESULT ")]
    return float(found[-1]) if found else None
