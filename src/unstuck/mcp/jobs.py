"""What the tools do, in a process of their own: record, diagnose, look, replay, run pairs.

A script is recorded contained, as a patched script is rerun: an agent may ask for it many times, and nothing of the
person's is written. Each function takes the order as plain data and returns an answer as plain data.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unstuck.containment import RESULT
from unstuck.diagnosis import pipeline
from unstuck.diagnosis.experiment import Experiment, Replay, Request, Rerun, Sweep
from unstuck.diagnosis.model import Finding, NotApplicable
from unstuck.diagnosis.pipeline import Examination
from unstuck.diagnosis.rerun import LONGER, Child, NotContained, PatchedRun, PatchedRuns, likely
from unstuck.diagnosis.runners import Runners
from unstuck.diagnosis.search import suspects
from unstuck.mcp import answers
from unstuck.recording.budget import Limits, limits
from unstuck.recording.script import Target, check
from unstuck.remedies.set_rate import SetRate, first_rates
from unstuck.signals import at_call
from unstuck.tape.files import TapeError, load, save
from unstuck.tape.model import Command, Tape
from unstuck.trial import entry

EFFORT = {"quick": 0.4, "normal": 1.0, "thorough": 4.0}
REMEDIES = 4
"""Remedies of one fault that are tried."""
Say = Callable[[str], None]
Answer = dict[str, Any]


class Abstained(Exception):
    """Nothing can be said; the message says why."""


@dataclass(frozen=True)
class Terms:
    """What does not depend on the tool."""

    timeout: float
    uncontained: bool = False


def diagnose(order: Mapping[str, Any], terms: Terms, say: Say) -> Answer:
    """Record a script into the folder `keep` and diagnose it, or diagnose the tape that `script` names."""
    tape, name = Path(order["script"]), order["tape"]
    if not (tape / "tape.json").exists():
        tape = Path(order["keep"])
        _record(order, tape, terms, say)
    else:
        name = str(tape)
    options = pipeline.Options(effort=EFFORT[order["effort"]], uncontained=terms.uncontained)
    return answers.diagnosis(pipeline.diagnose(tape, options, say), name)


def look(order: Mapping[str, Any], terms: Terms, say: Say) -> Answer:
    """Statistics and samples of what enters calls of a recorded step."""
    tape, at = _loaded(order["tape"]), str(order["at"]).strip()
    try:
        if not at:
            told = at_call.overview(tape)
        elif at.lower() in at_call.ROWS:
            told = at_call.rows(tape, order["rows"])
        else:
            told = at_call.at(tape, at, order["rows"])
    except NotApplicable as reason:
        raise Abstained(str(reason)) from None
    return answers.answer("look", {"tape": order["tape_name"], "at": at or None, **told})


def experiment(order: Mapping[str, Any], terms: Terms, say: Say) -> Answer:
    """Replay the remedies of a named cause, or a named remedy, on a tape."""
    tape, name = _loaded(order["tape"]), order["name"]
    with closing(Runners(tape, say, EFFORT[order["effort"]], PatchedRuns(terms.uncontained))) as run:
        found = _found(tape, name, run)
        wanted = _wanted(found, tape, name, order["value"])
        if not wanted:
            raise Abstained(_nothing(found, name))
        made = [_made(run, remedy, faults, order["means"]) for remedy, faults in wanted[:REMEDIES]]
    best = max(made, key=lambda e: (e.works, e.made, e.gain))
    why = best.why if best.word in ("undecided", "not-tried") else None
    tried = [answers.experiment(e) for e in made]
    told = {"tape": order["tape_name"], "cause_or_remedy": name, "verdict": best.word, "tried": tried}
    return answers.answer("experiment", told | {"skill": "0: the best constant answer, 1: perfection"}, why)


def try_patch(order: Mapping[str, Any], terms: Terms, say: Say) -> Answer:
    """A change on trial, in paired runs."""
    terms_ = entry.terms(order["seeds"], order["worth"], order["better"], terms.uncontained)
    values = tuple(f"{name}={value}" for name, value in order["values"].items())
    try:
        done = entry.of_target(
            _target(order), patch=order["patch"], other=order["other"], values=values, terms=terms_, say=say
        )
    except (entry.CannotChange, entry.Untried, NotContained) as reason:
        raise Abstained(str(reason)) from None
    return answers.trial(done)


TOOLS: dict[str, Callable[[Mapping[str, Any], Terms, Say], Answer]] = {
    "diagnose": diagnose, "look": look, "experiment": experiment, "try_patch": try_patch,
}  # fmt: skip


def _target(order: Mapping[str, Any]) -> Target:
    script, arguments = order["script"], tuple(order["arguments"])
    target = Target(None, script, arguments) if order["module"] else Target(script, None, arguments)
    if (line := check(target)) is not None:
        raise Abstained(line)
    return target


def _record(order: Mapping[str, Any], tape: Path, terms: Terms, say: Say) -> None:
    """Run the script once, contained, with its tape in a folder. Raises Abstained where it leaves none."""
    target = _target(order)
    folder = Path(target.path).resolve().parent if target.path else Path.cwd()
    say("recording the script")
    try:
        with closing(Child(likely(str(folder), str(Path.cwd())), terms.uncontained)) as child:
            child.order(_command(target, limits(order["steps"], order["seconds"], EFFORT[order["effort"]])), folder, {})
            done = child.end(terms.timeout)
            if done.tape is None:
                raise Abstained(_unrecorded(done))
            shutil.move(child.folder / RESULT / "tape", tape)
    except NotContained as reason:
        raise Abstained(f"the script was not run: {reason}") from None
    if done.means == "none":  # it ran in a copy; what follows is about the person's own folder
        done.tape.folder = str(folder)
        save(done.tape, tape)


def _command(target: Target, allowed: Limits) -> Command:
    # A rerun gets LONGER times the seconds of its recording; this is no rerun.
    seconds, longest = allowed.seconds / LONGER, allowed.longest / LONGER
    here = str(Path.cwd())
    return Command(
        target.path, target.module, target.args, here, allowed.steps, seconds, least=allowed.least, longest=longest
    )  # fmt: skip


def _unrecorded(done: PatchedRun) -> str:
    how = done.broken or f"ended with exit code {done.code}"
    said = done.last_line[:300] or "it printed nothing"
    denied = f"it ran contained ({done.means}): it could write no file of yours and reach no network"
    return f"the script {how}, and no training step was recorded: {said}; {denied}"


def _loaded(folder: str) -> Tape:
    try:
        return load(Path(folder))
    except TapeError as error:
        raise Abstained(str(error)) from None


def _found(tape: Tape, name: str, run: Runners) -> list[Finding]:
    """What the rules find, asked again after a sweep of learning rates where that name is not among it."""
    examination = Examination(tape)
    found = [f for f in examination.begin() if f.remedies]
    if not any(_is(f, name) for f in found) and name != SetRate.name:
        _, more = examination.after(run(Request(Sweep())), run)
        found += [f for f in more if f.remedies]
    return found


def _is(finding: Finding, name: str) -> bool:
    return name == finding.fault or any(name == r.name for r in finding.remedies)


def _wanted(found: list[Finding], tape: Tape, name: str, value: float | None) -> list[tuple[Any, tuple[str, ...]]]:
    rates = first_rates(tape)
    if name == SetRate.name and value is not None and rates:
        made = tape.optimizers[0].made if tape.optimizers else None
        return [(SetRate(value / rates[0], value, made, rates), ())]
    return [(r, faults) for r, faults in suspects(found) if name == r.name or name in faults]


def _nothing(found: list[Finding], name: str) -> str:
    names = sorted({f.fault for f in found} | {r.name for f in found for r in f.remedies})
    can = ", ".join(names) or "set-rate with a value"
    return f"nothing on this tape calls for {name}; what can be tried here: {can}"


def _made(run: Runners, remedy: Any, faults: tuple[str, ...], means: str) -> Experiment:
    """A replay; where none can be made, or where it is asked for, a run of the patched script."""
    if means == "replay":
        made = run(Request(Replay(), (remedy,), faults))
        if made.made:
            return made
    return run(Request(Rerun(), (remedy,), faults))


def threads() -> None:
    """Leave a core to the scripts that run beside."""
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) - 1)))
