"""The whole program on one screen: from a tape to its diagnosis.

A fault may hide behind another: what the patched script leaves on its own tape is examined like the first, until
nothing more is found or nothing more helps.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import torch

from unstuck.diagnosis.asked import in_turn
from unstuck.diagnosis.battery import battery
from unstuck.diagnosis.conclude import Context, conclude
from unstuck.diagnosis.examine import NO_ROOM, Readings, examine, readers
from unstuck.diagnosis.experiment import Experiment, Micro, Recorded, Request, Rerun, Sweep
from unstuck.diagnosis.level import ended
from unstuck.diagnosis.log import Budget, Patched
from unstuck.diagnosis.model import Diagnosis, Finding, NotApplicable, Outcome
from unstuck.diagnosis.plan import foresight
from unstuck.diagnosis.rerun import PatchedRuns
from unstuck.diagnosis.runners import Runners
from unstuck.diagnosis.skill import settled
from unstuck.micro.catalogue import micro_experiments
from unstuck.replay.allocator import give_back
from unstuck.replay.stacked import warm
from unstuck.rules.catalogue import catalogue
from unstuck.signals.learning import Learning
from unstuck.tape.files import load
from unstuck.tape.model import Tape

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the person asked for, and how far to go for it."""

    prove: bool = True
    seconds: float = 60.0
    """After this much time, the script's own included, no experiment is begun that the report can do without; they may
    take as long as the script itself in any case."""
    effort: float = 1.0
    """Factor on the time of the experiments: `--effort` quick, normal or thorough."""
    uncontained: bool = False
    """Whether a patched script that cannot be contained is run all the same, in a copy of its folder."""
    ask: str = ""
    """A command of the person's that is given the dossier and answers with causes to try."""

    def late(self, script: float, spent: float) -> bool:
        """Whether experiments have taken long enough, after a script of that many seconds."""
        return spent > self.effort * max(self.seconds - script, script)


@contextmanager
def unwarned() -> Iterator[None]:
    """Without warnings: the recorded calls gave theirs while the script ran, and are made again by each replay."""
    with warnings.catch_warnings(action="ignore"):
        yield


@unwarned()
def diagnose(
    folder: Path, options: Options = Options(), say: Say = lambda _: None, reruns: PatchedRuns | None = None
) -> Diagnosis:
    """The diagnosis of a tape folder. Raises TapeError if there is no whole tape.

    `reruns`: patched scripts of which one may have begun while the script ran (`unstuck.diagnosis.ahead`). An interrupt
    (Ctrl-C) ends the experiments, unless one has ended the script already: then it ends everything.
    """
    give_back()
    # One core is left to the patched script: threads that wait for each other there would stand in its way.
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) - 1)))
    clock, tape = Clock(), load(folder)
    say("reading the tape")
    examination = Examination(tape)
    findings = examination.begin()
    micro = tuple(micro_experiments())
    budget = lambda: Budget(options.prove, late=options.late(tape.seconds, clock.spent()), micro=micro)
    patched = PatchedRuns(options.uncontained) if reruns is None else reruns
    with closing(Runners(tape, say, options.effort, patched)) as run:
        log = (Experiment(Request(Recorded()), "undecided", "the recorded run", run=run.run()),)
        if options.prove and any(f.remedies and f.origin != "battery" for f in findings):
            run.prepare()
        while (step := foresight(findings, log, budget()))[0] is not None:
            request, ahead = step
            if ahead is not None:
                run.begin(ahead)
            try:
                experiment, found = examination.after(run(request), run)
            except KeyboardInterrupt:
                if tape.facts.cut_by == "interrupt":
                    raise
                tape.notes = (*tape.notes, "the experiments were interrupted: those that are missing may show more")
                break
            log, findings = (*log, experiment), (*findings, *found)
        seconds = {"script": tape.seconds, "diagnosis": clock.wall()}
        known = conclude(tape, findings, log, examination.context(budget(), seconds))
        if not options.ask:
            return known
        say("asking the command")
        return in_turn(known, tape, options.ask, run if options.prove else None)


@dataclass(frozen=True)
class Clock:
    """When the examination began."""

    began: float = field(default_factory=time.monotonic)
    worked: float = field(default_factory=lambda: sum(os.times()[:4]))

    def wall(self) -> float:
        """Seconds since."""
        return time.monotonic() - self.began

    def spent(self) -> float:
        """Seconds since, or our own and our children's work if that is less: a busy machine must not change a word."""
        return min(self.wall(), sum(os.times()[:4]) - self.worked)


class Examination:
    """The rules, asked once on the recorded tape and again on what experiments leave: readings and tapes."""

    def __init__(self, tape: Tape) -> None:
        self._readings: dict[Patched, Readings] = {(): Readings(tape)}
        self._outcomes: dict[str, Outcome] = {}
        self._fired: set[str] = set()

    def begin(self, over: Callable[[], bool] = lambda: False) -> tuple[Finding, ...]:
        """What all rules find on the recorded tape, or those that were asked before it was `over`."""
        found: list[Finding] = []
        outcomes: list[Outcome] = []
        for name, rule in catalogue().items():
            if not over():
                more, told = examine(self._readings[()], {name: rule})
                found, outcomes = found + more, outcomes + told
        self._outcomes = {o.fault: o for o in outcomes}
        self._fired = {f.fault for f in found}
        return (*found, *(battery(self._readings[()]) if not over() else ()))

    def after(self, experiment: Experiment, run: Runners) -> tuple[Experiment, list[Finding]]:
        """The experiment with the faults that were looked for again on what it left, and what was found there."""
        request = experiment.request
        if isinstance(request.means, Sweep) and request.behind in run.sweeps:
            return self._read(experiment, run.sweeps[request.behind], "sweep")
        if (
            isinstance(request.means, Micro)
            and (read := run.micros.get((request.means.kind, request.behind))) is not None
        ):
            return self._read(experiment, read, request.means.kind)
        tape = run.tapes.get((*request.behind, *request.remedies))
        if isinstance(request.means, Rerun) and ended(experiment) and tape is not None:
            return self._rerun(experiment, tape)
        return experiment, []

    def _read(self, experiment: Experiment, read: object, origin: str) -> tuple[Experiment, list[Finding]]:
        """Ask the rules again that read what an experiment gave."""
        readings, behind = self._readings[experiment.request.behind], experiment.request.behind
        readings.give(read)
        found, outcomes = examine(readings, readers(type(read)), origin)
        if not behind:
            self._outcomes |= {o.fault: o for o in outcomes}
            self._fired |= {f.fault for f in found}
        return msgspec.structs.replace(experiment, asked=tuple(o.fault for o in outcomes)), found

    def _rerun(self, experiment: Experiment, tape: Tape) -> tuple[Experiment, list[Finding]]:
        """All rules where something may hide behind the patch, else those that fired: are they quiet now?"""
        behind = (*experiment.request.behind, *experiment.request.remedies)
        readings = self._readings[behind] = Readings(tape, behind=behind)
        poor = not settled(experiment.run.known) if experiment.run is not None else False
        rules = {name: rule for name, rule in catalogue().items() if poor or name in self._fired}
        found, outcomes = examine(readings, rules)
        asked = tuple(o.fault for o in outcomes if o.status != "not-applicable" and o.reason != NO_ROOM)
        return msgspec.structs.replace(experiment, asked=asked), found

    def context(self, budget: Budget, seconds: dict[str, float]) -> Context:
        """What the conclusion needs besides findings and log."""
        readings = self._readings[()]
        try:
            learning = cast(Learning, readings.of(Learning))
        except NotApplicable as reason:
            return Context(tuple(self._outcomes.values()), budget, seconds, notes=(str(reason),))
        yard = learning.yardstick
        return Context(tuple(self._outcomes.values()), budget, seconds, (yard.name, yard.constant))


__all__ = ["Options", "diagnose", "warm"]
