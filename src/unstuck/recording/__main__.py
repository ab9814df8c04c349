"""The recording child: `python -m unstuck.recording --out FOLDER [LIMITS] -- SCRIPT ARGS...`.

Runs the person's script as Python would, writes the tape, and ends with the script's own exit code. With `--wait` it
imports what it needs, and takes its folder, patched files and arguments from one line of JSON on stdin. With
`--wait TERMS` (JSON, see `containment.Terms`) it contains itself first. With `--serve NUMBER` it imports, and starts
such processes as they are asked for at that socket (see `served`). With `--beside` it is one of several processes
of a run, and leaves its tape where they meet (`--ranks FOLDER`).
"""

from __future__ import annotations

import argparse
import atexit
import importlib
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import msgspec

from unstuck.containment import Inside, Terms, contain
from unstuck.recording.budget import Limits
from unstuck.recording.children import Children, is_launcher
from unstuck.recording.gathering import gathered
from unstuck.recording.launch import INTERRUPTED, execute, leave
from unstuck.recording.options import arguments, limits
from unstuck.recording.ranks import Meeting, alone, place
from unstuck.recording.script import Target
from unstuck.recording.served import served
from unstuck.tape.model import Command
from unstuck.tape.settings import NUMBER

SEEDS = "seeds.json"
"""Beside the tape: how often each call that seeds a generator was made, where seeds were shifted."""


def main() -> int:
    """Run and record; the exit code is the script's."""
    options, target = arguments(_words(sys.argv[1:]))
    if options.shift is not None:
        _seeded(options.shift, Path(options.out).absolute().with_name(SEEDS))
    if options.plain:
        return execute(target)
    here = Path.cwd()  # the script may go elsewhere
    environment = dict(os.environ)
    script = target.path or target.module or ""
    folder = Path(script).resolve().parent if target.path else Path.cwd()
    out, meeting = _places(options, target)
    allowed = limits(options)
    if target.notebook:
        return _notebook(target, out, allowed, _command(allowed, target, here, ()))
    from unstuck.recording.failure import described
    from unstuck.recording.keeping import Keeping
    from unstuck.recording.recorder import Recorder

    recorder = Recorder(folder, allowed, meeting)
    children = Children(meeting, allowed.words(), folder, is_launcher(target))
    failure: dict[str, Any] = {}
    texts = recorder.observed.call_sites.texts
    command = lambda: _command(allowed, target, here, _numbers(environment, texts()))
    finish = (lambda tape: tape) if options.beside else (lambda tape: gathered(tape, meeting, children.named))
    keep = Keeping(recorder, out, Path(script).name, command, finish)
    keep.attach()
    recorder.attach()
    children.attach(recorder.stop)
    if options.wakeup is not None:
        signal.set_wakeup_fd(options.wakeup, warn_on_full_buffer=False)
    try:
        code = execute(target, on_error=lambda error: failure.update(described(error, recorder.observed.call_sites)))
    finally:
        children.detach()
        keep.end(failure)
        if options.beside:
            meeting.leave()
    return code


def _seeded(shift: int, told: Path) -> None:
    """Shift the seeds that the target sets; at the end, the calls that set them are told."""
    from unstuck.recording.seeding import Seeds

    seeds = Seeds(shift)
    seeds.install()
    atexit.register(lambda: told.write_text(json.dumps(seeds.calls), encoding="utf-8"))


def _places(options: argparse.Namespace, target: Target) -> tuple[Path, Meeting]:
    """Where the tape goes, and where the processes of the run meet."""
    meeting = Meeting(Path(options.ranks or options.out + ".ranks").absolute())
    return meeting.join(target.name) if options.beside else Path(options.out).absolute(), meeting


def _notebook(target: Target, out: Path, limits: Limits, command: Command) -> int:
    """Run the cells in a kernel, which records them."""
    from unstuck.recording.notebook import driver

    return driver.execute(Path(target.name), out, tuple(limits), msgspec.structs.asdict(command))


def _words(words: list[str]) -> list[str]:
    """The arguments as they stand, or as they come to a process that waits for them."""
    if words[:1] == ["--serve"]:
        _import()
        return _received(served(int(words[1])))
    return _received(*words[1:]) if words[:1] == ["--wait"] else words


def _import() -> None:
    for name in ("torch", "torch._dynamo", "unstuck.recording.recorder"):  # the second comes with a first optimizer
        importlib.import_module(name)


def _received(terms: str = "") -> list[str]:
    """The arguments, once they have come; an empty line, which an end of file is too, ends the child."""
    inside = contain(Terms(**json.loads(terms))) if terms else Inside("none")  # while there is one thread
    _import()
    inside.redirect()
    line = b""
    while not line.endswith(b"\n") and (more := os.read(0, 65536)):
        line += more
    if not line.strip():
        sys.exit(0)
    order = json.loads(line)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.environ.update(order.get("environment", {}))
    os.chdir(order["cwd"])
    for path, text in order["files"].items():
        inside.put(path, text)
    if place() is not None:  # the ranks of a rerun are started anew, and these words are those of the recorded run
        for name in os.environ.keys() - alone().keys():
            del os.environ[name]
    return order["argv"]


def _command(limits: Limits, target: Target, here: Path, environment: tuple[tuple[str, str], ...]) -> Command:
    before = Command(target.path, target.module, target.args, str(here), limits.steps, limits.seconds, environment)
    return msgspec.structs.replace(before, least=limits.least, longest=limits.longest)


def _numbers(environment: dict[str, str], texts: dict[str, str]) -> tuple[tuple[str, str], ...]:
    """The variables that are numbers and are named in the person's files; nothing else of the environment is kept."""
    words = {word.lower() for text in texts.values() for word in re.findall(r"\w+", text)}
    return tuple((k, v) for k, v in sorted(environment.items()) if k.lower() in words and NUMBER.fullmatch(v.strip()))


def _outcome() -> int:
    try:
        return main()
    except KeyboardInterrupt:  # before the script began: what it raises itself is shown by `execute`
        return INTERRUPTED


if __name__ == "__main__":
    leave(_outcome())
