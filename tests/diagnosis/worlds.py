"""Made-up programs for the plan: findings, and what each experiment on them would show. No torch, no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from unstuck.diagnosis.experiment import (
    Arm,
    Baseline,
    Experiment,
    Headroom,
    Micro,
    Recorded,
    Recount,
    Replay,
    Request,
    Rerun,
    Resample,
    Run,
    Sweep,
    Word,
)
from unstuck.diagnosis.log import Budget
from unstuck.diagnosis.model import Finding, Statement
from unstuck.diagnosis.plan import Choice, plan, settle
from unstuck.diagnosis.skill import LEAST, healed
from unstuck.diagnosis.stages import Stage


@dataclass(frozen=True)
class Named:
    """Stands for a remedy: the plan needs its name, its trust, and what it becomes when it is made stronger."""

    name: str
    trust: str = "safe"
    then: str = ""

    def stronger(self) -> Named | None:
        """The remedy of the next strength."""
        return Named(self.then, self.trust) if self.then else None


def found(fault: str, *remedies: str | Named, stage: Stage = Stage.UNITS, **more: Any) -> Finding:
    """A finding with remedies of these names."""
    named = tuple(r if isinstance(r, Named) else Named(r) for r in remedies)
    return Finding(fault, f"{fault} is there", remedies=named, stage=stage, **more)


STUCK = Run(skill=0.0, curve=(0.0,) * 24, score=0.5, passes=400, task="classes")
"""A run that learns nothing in 400 steps."""


@dataclass
class World:
    """What experiments would show: skill by the set of remedies, replayed and in the patched script's own run."""

    findings: list[Finding]
    run: Run = STUCK
    replayed: dict[frozenset[str], float] = field(default_factory=dict)
    screened: dict[frozenset[str], float] = field(default_factory=dict)
    held: dict[frozenset[str], float] = field(default_factory=dict)
    """On the rows of the last evaluation."""
    rerun: dict[frozenset[str], float | None] = field(default_factory=dict)
    """None: the patched script fails."""
    shown: dict[str, Word] = field(default_factory=dict)
    """Of resampling, by kind."""
    reported: Word = "undecided"
    swept: list[Finding] = field(default_factory=list)
    micro: dict[str, list[Finding]] = field(default_factory=dict)
    """What rules find with the reading of a micro-experiment, by its name."""
    behind: dict[frozenset[str], list[Finding]] = field(default_factory=dict)
    headroom: Headroom | None = None
    unplayable: str = ""
    steps: int = 400
    """Of a replay over the whole course."""
    log: list[Experiment] = field(default_factory=list)

    def diagnose(self, budget: Budget = Budget()) -> Choice:  # noqa: B008
        """Make every experiment the plan asks for; what the log settles in the end."""
        self.log = [Experiment(Request(Recorded()), "undecided", "", run=self.run)]
        known = list(self.findings)
        while (request := plan(known, self.log, budget)) is not None:
            assert all(e.request.key != request.key for e in self.log), f"asked twice: {request}"
            experiment, more = self.make(request)
            self.log.append(experiment)
            known += more
        self.known = known
        return settle(known, self.log, budget)

    def asked(self, kind: type) -> list[tuple[str, ...]]:
        """The remedies of every experiment of a kind, in order."""
        return [tuple(r.name for r in e.request.remedies) for e in self.log if type(e.request.means) is kind]

    def make(self, request: Request) -> tuple[Experiment, list[Finding]]:
        """One experiment, and what is found on what it leaves."""
        kinds: dict[type, Callable[[Request], tuple[Experiment, list[Finding]]]] = {
            Replay: self._replay, Rerun: self._rerun, Sweep: self._sweep, Resample: self._resample,
            Recount: self._recount, Micro: self._micro, Baseline: self._baseline,
        }  # fmt: skip
        return kinds[type(request.means)](request)

    def _baseline(self, request: Request) -> tuple[Experiment, list[Finding]]:
        word: Word = "undecided" if self.headroom is not None else "not-tried"
        return Experiment(request, word, "", headroom=self.headroom), []

    def _replay(self, request: Request) -> tuple[Experiment, list[Finding]]:
        assert isinstance(request.means, Replay)
        if self.unplayable:
            return Experiment(request, "not-tried", self.unplayable), []
        names, before = frozenset(r.name for r in request.remedies), self.run.known
        if request.means.held:
            assert self.headroom is not None
            before = self.headroom.skill(self.headroom.run)
            return compared(request, before, self.held.get(names, before)), []
        table = {**self.replayed, **(self.screened if request.means.share < 1 else {})}
        return msgspec.structs.replace(compared(request, before, table.get(names, before)), steps=self.steps), []

    def _rerun(self, request: Request) -> tuple[Experiment, list[Finding]]:
        names = frozenset(r.name for r in (*request.behind, *request.remedies))
        skill = self.rerun.get(names, self.replayed.get(names, self.run.known))
        files = (("train.py", " ".join(sorted(names))),)
        if skill is None:
            failed = Experiment(request, "not-tried", "it ended with exit code 1", run=Run(ended=False), files=files)
            return msgspec.structs.replace(failed, written=request.remedies), []
        run = msgspec.structs.replace(self.run, skill=skill, score=0.5 + skill / 2, error="")
        done = msgspec.structs.replace(
            compared(request, self.run.known, skill), run=run, files=files, written=request.remedies, lanes=1
        )
        behind = (*request.behind, *request.remedies)
        left = [msgspec.structs.replace(f, behind=behind) for f in self.behind.get(names, [])]
        faults = tuple(dict.fromkeys(f.fault for f in (*self.findings, *left)))
        return msgspec.structs.replace(done, asked=faults), left

    def _sweep(self, request: Request) -> tuple[Experiment, list[Finding]]:
        more = [msgspec.structs.replace(f, origin="sweep", behind=request.behind) for f in self.swept]
        return Experiment(request, "undecided", "rates", asked=("lr-too-high", "lr-too-low")), more

    def _resample(self, request: Request) -> tuple[Experiment, list[Finding]]:
        assert isinstance(request.means, Resample)
        return Experiment(request, self.shown[request.means.kind], "rows"), []

    def _micro(self, request: Request) -> tuple[Experiment, list[Finding]]:
        assert isinstance(request.means, Micro)
        kind = request.means.kind
        more = [msgspec.structs.replace(f, origin=kind) for f in self.micro.get(kind, [])]
        asked = tuple(f.fault for f in more)
        told = (Statement(f"{kind} shows this", None, kind, {}, "".join(asked[:1])),)
        return Experiment(request, "undecided", kind, asked=asked, statements=told), more

    def _recount(self, request: Request) -> tuple[Experiment, list[Finding]]:
        return Experiment(request, self.reported, "reports"), []


def compared(request: Request, before: float, after: float) -> Experiment:
    """A clear comparison of two skills over eight lanes and 400 steps."""
    word: Word = "undecided" if after < 0.6 else "no-difference"
    if after - before >= LEAST:
        word = "heals" if healed(before, after) else "helps"
    elif before - after >= LEAST:
        word = "harms"
    arms = {"without": arm(before), "treated": arm(after)}
    return Experiment(request, word, f"{before} to {after}", power="8 lanes, 400 steps", lanes=8, steps=400, **arms)


def arm(skill: float) -> Arm:
    """A flat course at one skill."""
    return Arm((skill,) * 24, (1 - skill,) * 24, None, (skill,) * 8)


def names(remedies: Iterable[Any]) -> tuple[str, ...]:
    """Names of remedies."""
    return tuple(r.name for r in remedies)
