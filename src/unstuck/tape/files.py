"""A tape on disk: a folder with `tape.json` (everything but tensors) and `tensors.safetensors`.

It is written to a temporary folder and renamed, so a tape is whole or absent. While its script runs, its tensors are in
several files, and `stopped` is RUNNING. Nothing in it is ever executed or unpickled.
"""

from __future__ import annotations

import importlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from unstuck.tape.model import Tape
from unstuck.tape.program import restored, stored
from unstuck.tape.tensors import write

FORMAT = 1
"""Raised whenever an older version could misread a newer tape. Fields that are absent get their defaults."""


RUNNING = "running"
"""`stopped` of a tape whose script was still at work when it was written."""


class TapeError(Exception):
    """The folder does not hold a tape this version can read; the message is one line."""


def save(tape: Tape, folder: Path) -> None:
    """Write the tape, whole or not at all; replaces an earlier tape, never anything else (TapeError)."""
    folder = Path(folder)
    if folder.exists() and not (folder / "tape.json").exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TapeError(f"{folder} exists and is not a tape; nothing was written")
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (scratch / "tape.json").write_text(json.dumps(_plain(tape)), encoding="utf-8")
        write(tape.tensors, scratch / "tensors.safetensors")
        if folder.exists():
            shutil.rmtree(folder)
        scratch.replace(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class Journal:
    """Writes what there is of a tape into one folder, again and again: each tensor once, final weights anew."""

    def __init__(self, folder: Path) -> None:
        importlib.import_module("safetensors.torch")  # not while the script runs
        self.folder = folder
        self._written: set[str] = set()
        self._files = 0

    def write(self, tape: Tape) -> None:
        """Bring the folder up to date; a reader sees the tape as it was before, or as it is now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        final = {k: t for k, t in tape.tensors.items() if k.startswith("f:")}
        new = {k: t for k, t in tape.tensors.items() if k not in self._written and k not in final}
        if new:
            write(new, self.folder / f"tensors-{self._files}.safetensors")
            self._files += 1
            self._written |= new.keys()
        if final:
            write(final, self.folder / ".final")
            (self.folder / ".final").replace(self.folder / "final.safetensors")
        _replace(self.folder, _plain(tape))


def is_running(folder: Path) -> bool:
    """Whether a tape folder holds a snapshot only."""
    return (folder / "tape.json").exists() and not (folder / "tensors.safetensors").exists()


def close(folder: Path, cut_by: str = "", ended: str = "") -> None:
    """Say in a tape what ended its recording; `ended` replaces RUNNING. The budget becomes what was reached."""
    raw = json.loads((folder / "tape.json").read_text(encoding="utf-8"))
    raw["stopped"] = ended if raw["stopped"] == RUNNING else raw["stopped"]
    facts = raw["facts"]
    facts["cut_by"] = facts.get("cut_by") or cut_by
    command = facts.get("command")
    if command:
        command |= {"least": raw["steps"], "seconds": min(command["seconds"], raw["seconds"])}
    _replace(folder, raw)


def _replace(folder: Path, raw: dict[str, Any]) -> None:
    new = folder / ".tape.json"
    new.write_text(json.dumps(raw), encoding="utf-8")
    new.replace(folder / "tape.json")


def load(folder: Path) -> Tape:
    """Read a tape folder; raises TapeError (one line) for anything that is not a whole tape of this format."""
    from safetensors import SafetensorError

    folder = Path(folder)
    try:
        raw = json.loads((folder / "tape.json").read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.pop("unstuck_tape", None) != FORMAT:
            raise TapeError(f"{folder}: not a tape of format {FORMAT}")
        programs = tuple(restored(p) for p in raw.pop("programs"))
        tape = msgspec.convert(raw, Tape)
        tape.programs = programs
        tape.tensors = _tensors(folder)
    except FileNotFoundError as e:
        gone = Path(e.filename or "tensors.safetensors").name
        raise TapeError(f"{folder}: no tape here ({gone} is missing)") from None
    except (msgspec.MsgspecError, SafetensorError, ValueError, KeyError, TypeError, OSError) as e:
        raise TapeError(f"{folder}: the tape cannot be read: {str(e).splitlines()[0]}") from None
    _check(tape, folder)
    return tape


def _tensors(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors")) or [folder / "tensors.safetensors"]
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def _plain(tape: Tape) -> dict[str, Any]:
    # Python's own json keeps NaN and infinity, which a recorded loss may well be.
    rest = {
        k: msgspec.to_builtins(getattr(tape, k)) for k in tape.__struct_fields__ if k not in ("tensors", "programs")
    }
    return {"unstuck_tape": FORMAT, **rest, "programs": [stored(p) for p in tape.programs]}


def _check(tape: Tape, folder: Path) -> None:
    steps = (*tape.passes, *tape.late, *tape.evaluations)
    named = {key for s in steps for key in s.outside} | {s.output for s in steps if s.output}
    named |= {f"w:{p.name}" for p in tape.parameters}
    if missing := named - tape.tensors.keys():
        raise TapeError(f"{folder}: the tape is incomplete: {len(missing)} of its tensors are missing")
    if any(s.program >= len(tape.programs) for s in steps):
        raise TapeError(f"{folder}: the tape refers to a program that it does not hold")
