"""Experiments that begin while the script still runs, on a snapshot of its tape.

A rerun of the likely patch takes as long as the script, and is known by the patched text: begun on the snapshot, it is
the very one that the diagnosis asks for later. Everything stays on cores that the script leaves idle; where there is
none, nothing begins.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import torch

from unstuck.diagnosis import cores
from unstuck.diagnosis.experiment import Experiment, Recorded, Request, Rerun
from unstuck.diagnosis.log import Budget
from unstuck.diagnosis.pipeline import Examination, Options, unwarned, warm
from unstuck.diagnosis.plan import foresight
from unstuck.diagnosis.rerun import PatchedRuns
from unstuck.diagnosis.runners import Runners
from unstuck.diagnosis.skill import SHORTEST
from unstuck.tape.files import TapeError, is_running, load
from unstuck.tape.model import Tape

TRAINED = 4.0
"""Seconds of training on the first snapshot that is looked at: scripts that take little longer need no start ahead."""
LOOKS = 0.25
"""Seconds between two looks for a snapshot."""

__all__ = ["Options", "PatchedRuns", "warm", "work"]

Over = Callable[[], bool]


@unwarned()
def work(folder: Path, options: Options, over: Over, reruns: PatchedRuns) -> None:
    """Begin, in `reruns`, what the diagnosis of the tape in `folder` will ask for; return when the script is `over`."""
    wanted = options.prove and not options.uncontained  # two that are not contained would write over each other
    while wanted and not over():
        if (tape := _snapshot(folder)) is not None:
            if (chosen := cores.spare()) and not over():
                _begin(tape, options, over, reruns, chosen)
            break
        time.sleep(LOOKS)


def _snapshot(folder: Path) -> Tape | None:
    """A snapshot that holds enough to begin with."""
    if not is_running(folder):
        return None
    try:
        tape = load(folder)
    except TapeError:  # the child is replacing it
        return None
    return tape if tape.facts.trained >= TRAINED and len(tape.passes) >= SHORTEST else None


def _begin(tape: Tape, options: Options, over: Over, reruns: PatchedRuns, chosen: frozenset[int]) -> None:
    everything, threads = os.sched_getaffinity(0), torch.get_num_threads()
    torch.set_num_threads(min(threads, len(chosen)))
    try:
        with cores.kept_to(chosen):
            begun = _foreseen(tape, options, over, reruns)
            while begun and not over():
                cores.keep(reruns.processes[-1], chosen)  # it may start others
                time.sleep(LOOKS)
    finally:
        torch.set_num_threads(threads)
        for process in reruns.processes:
            cores.keep(process, everything)


def _foreseen(tape: Tape, options: Options, over: Over, reruns: PatchedRuns) -> bool:
    """Examine and replay the snapshot until a rerun is foreseen, and begin that; whether one began."""
    examination, run = Examination(tape), Runners(tape, lambda _: None, options.effort, reruns)
    findings = examination.begin(over)
    run.prepare()
    log = (Experiment(Request(Recorded()), "undecided", "the recorded run", run=run.run()),)
    while not over():
        request, ahead = foresight(findings, log, Budget())
        rerun = ahead if request is None or not isinstance(request.means, Rerun) else request
        if request is None or rerun is not None:
            if rerun is not None:
                run.begin(rerun)
            return bool(rerun is not None and reruns.processes)  # none where it cannot be contained
        experiment, found = examination.after(run(request), run)
        log, findings = (*log, experiment), (*findings, *found)
    return False
