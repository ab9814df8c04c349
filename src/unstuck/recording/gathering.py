"""The tapes that the processes of a run have left where they meet, merged into one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec

from unstuck.recording.ranks import LATE, Meeting, place
from unstuck.tape.files import TapeError, load
from unstuck.tape.model import Tape

LAUNCHER = "torch.distributed.run"
AFTER_FAILURE = 20.0
"""Seconds that the others may take to their end once this process has failed: they may wait for it for ever."""


def gathered(own: Tape, meeting: Meeting, named: list[str]) -> Tape:
    """This process's tape with those of the others; the folder where they met goes, if it is this run's own."""
    if not meeting.folder.is_dir():
        return _with(own, _unrecorded(named))
    from unstuck.tape.ranks import merged  # reads programs, which a run of one process need not

    folders = meeting.gathered(AFTER_FAILURE if own.error else LATE)
    late = [_what(f) for f in folders if meeting.running(f) and (f / "training").exists()]
    tapes = [tape for f in folders if (tape := _read(f / "tape")) is not None]
    whole = _again(merged(own, tapes, meeting.stop() is not None))
    if meeting.folder.name.endswith(".ranks"):
        shutil.rmtree(meeting.folder, ignore_errors=True)
    return _with(whole, [*_unrecorded(named), *_missing(late)])


def _again(tape: Tape) -> Tape:
    """With the command that runs all ranks of this machine once more, where a launcher outside of us started them."""
    command, local = tape.facts.command, tape.facts.ranks.local
    if command is None or local < 2 or place() is None:
        return tape
    words = ("-m", command.module) if command.module else (command.path or "",)
    args = ("--standalone", "--nproc-per-node", str(local), *words, *command.args)
    again = msgspec.structs.replace(command, path=None, module=LAUNCHER, args=args)
    return msgspec.structs.replace(tape, facts=msgspec.structs.replace(tape.facts, command=again))


def _with(tape: Tape, notes: list[str]) -> Tape:
    said = (*tape.facts.processes, *notes)
    return msgspec.structs.replace(tape, facts=msgspec.structs.replace(tape.facts, processes=said))


def _unrecorded(named: list[str]) -> list[str]:
    if not named:
        return []
    scripts = ", ".join(dict.fromkeys(named))
    count = "1 child process that runs" if len(named) == 1 else f"{len(named)} child processes that run"
    return [f"not recorded: {count} Python ({scripts}); if one trains, record it by itself"]


def _missing(late: list[str]) -> list[str]:
    return [f"not recorded: {what}, a process that trains and was still running at the script's end" for what in late]


def _what(folder: Path) -> str:
    try:
        return str(json.loads((folder / "what.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return "a child process"


def _read(folder: Path) -> Tape | None:
    try:
        return load(folder)
    except TapeError:
        return None
