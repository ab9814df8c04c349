"""The log of experiments, as the plan reads it.

The plan is written as if every experiment had been made: `Book.ask` gives the entry of the log or, where there is none
yet, raises `Needed`, which is the plan's answer: this experiment comes next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from unstuck.diagnosis.experiment import Experiment, Micro, Recorded, Replay, Request, Rerun, Run, Sweep
from unstuck.diagnosis.model import Finding

Patched = tuple[Any, ...]
"""The remedies of a patched run; () for the recorded one."""


class Budget(msgspec.Struct, frozen=True):
    """How far to go."""

    prove: bool = True
    late: bool = False
    """No time is left for another experiment that the report can do without."""
    rounds: int = 3
    """How often a patched script's own tape is examined for a fault that hid behind another."""
    reruns: int = 4
    """Patched scripts run per round, where replay cannot tell."""
    micro: tuple[str, ...] = ()
    """Micro-experiments to make, in this order."""


class Needed(Exception):
    """An experiment that has not been made yet."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self.request = request


@dataclass
class Book:
    """Findings, log and budget, asked one experiment at a time."""

    findings: Sequence[Finding]
    log: Sequence[Experiment]
    budget: Budget
    closed: bool = False
    """Nothing more will be made: what is missing was not tried."""
    foreseen: Request | None = None
    """A rerun that will probably be asked for: it may begin while replays are at work."""
    _made: dict[object, Experiment] = field(init=False)

    def __post_init__(self) -> None:
        self._made = {e.request.key: e for e in self.log}

    def known(self, request: Request) -> Experiment | None:
        """The experiment, if it was made."""
        return self._made.get(request.key)

    def ask(self, request: Request, spare: bool = False) -> Experiment:
        """The experiment; raises Needed where it has to be made. `spare`: the report can do without it."""
        made = self.known(request)
        if made is not None:
            return made
        if self.closed or ((spare or request.behind) and self.budget.late):
            return Experiment(request, "not-tried", "no time was left")
        raise Needed(request)

    def foresee(self, request: Request) -> None:
        """Note a rerun that may be begun ahead."""
        if request.remedies and self.known(request) is None:
            self.foreseen = request

    def run(self, behind: Patched = ()) -> Run | None:
        """How the recorded run went, or a patched one; None where it left no tape."""
        request = Request(Rerun(), behind) if behind else Request(Recorded())
        found = next((e for e in self.log if type(e.request.means) is type(request.means) and _of(e, behind)), None)
        return found.run if found is not None else None

    def found(self, behind: Patched = (), swept: bool = True) -> list[Finding]:
        """Findings on one tape, causes before consequences; what an experiment answered takes the place of a guess."""
        log = [e for e in self.log if swept or not isinstance(e.request.means, Sweep)]
        return sorted(latest((f for f in self.findings if f.behind == behind), log, behind), key=upstream)

    def replays(self, behind: Patched = ()) -> Iterator[Experiment]:
        """Every replay of remedies on one tape."""
        replayed = (e for e in self.log if isinstance(e.request.means, Replay) and e.request.remedies)
        return (e for e in replayed if e.request.behind == behind)


def latest(findings: Iterable[Finding], log: Sequence[Experiment], behind: Patched) -> list[Finding]:
    """Those findings of one tape that stand: where a rule was asked again with what an experiment read, the last."""
    asked = {fault: origin(e) for e in log if e.request.behind == behind and origin(e) for fault in e.asked}
    return [f for f in findings if f.origin == asked.get(f.fault, "tape")]


def origin(experiment: Experiment) -> str:
    """What rules read that are asked again after an experiment with the recorded steps; "" where none are."""
    means = experiment.request.means
    return means.kind if isinstance(means, Micro) else "sweep" if isinstance(means, Sweep) else ""


def _of(experiment: Experiment, behind: Patched) -> bool:
    return (*experiment.request.behind, *experiment.request.remedies) == behind


def upstream(finding: Finding) -> tuple[int, str]:
    """The key that sorts findings: causes before consequences."""
    return finding.stage, finding.fault
