"""Search by replay: screen each suspect's remedies, replay the best over the whole course, combine if needed.

Upstream faults come first: where the inputs' units and the learning rate would each heal a run alone, the units are the
cause, for the rate was right for what the person thought the inputs were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from unstuck.diagnosis.experiment import Experiment, Replay, Request
from unstuck.diagnosis.log import Book, Patched
from unstuck.diagnosis.model import Finding, Remedy
from unstuck.diagnosis.skill import CLOSE, STUCK, WORTH, enough, settled, worth_having
from unstuck.diagnosis.stages import Stage

SCREEN = Replay(0.4)
"""The part of the course on which suspects are screened: most remedies that heal show it by then."""
SLOW = 3
"""Suspects that get the whole course although the screening showed nothing."""
MOST = 14
"""Remedies tried alone."""

Suspect = tuple[Remedy, tuple[str, ...]]


@dataclass
class Search:
    """One tape's suspects and what replays say of them."""

    book: Book
    findings: Sequence[Finding]
    behind: Patched
    foresee: Callable[[Experiment], None]
    """Note that the patched script of an experiment will probably be asked for."""
    reached: Callable[[Experiment], float]
    """Skill of the patched script of an experiment, run to its end; -1 where it does not run."""
    before: float = 0.0
    """Skill that the run itself ended with."""
    spare: bool = False
    """The report can do without its replays: they end where no time is left."""
    held: bool = False
    """What counts is the skill on held-out rows: only the end of a whole course shows it."""
    tried: list[Experiment] = field(default_factory=list)
    """Remedies alone, in the order they were tried; the latest replay of each."""

    def best(self, settle: bool) -> Experiment | None:
        """The first effective one stands furthest upstream: if its patched script learns well too, it is the cause."""
        for remedy, faults in suspects(self.findings)[:MOST]:
            self.tried.append(screened := self.replay((remedy,), faults, None if self.held else SCREEN))
            if is_effective(screened) and enough(screened.treated.final):
                self.foresee(screened)
                break  # nothing further downstream could take its place
            if settle and _promises(screened):
                settle = False
                if (full := self._settled(screened)) is not None:
                    return full
        return self._finalist()

    def replay(self, remedies: tuple[Remedy, ...], faults: tuple[str, ...], means: Replay | None = None) -> Experiment:
        """One experiment on this tape."""
        return self.book.ask(Request(means or Replay(held=self.held), remedies, faults, self.behind), self.spare)

    def whole(self, screened: Experiment) -> Experiment:
        """The same experiment over the whole course, in the place of the screening."""
        full = self.replay(screened.request.remedies, screened.request.faults)
        self.tried = [full if e.request.remedies == full.request.remedies else e for e in self.tried]
        return full

    def _settled(self, screened: Experiment) -> Experiment | None:
        """The whole course, where it is effective there too and the patched script agrees."""
        self.foresee(screened)
        full = self.replay(screened.request.remedies, screened.request.faults)
        return full if is_effective(full) and enough(self.reached(full)) else None

    def _finalist(self) -> Experiment | None:
        """The best of the screened, once it has held over the whole course; else the slow ones' chance."""
        working = [e for e in self.tried if is_effective(e)] or self._slow()
        while (best := self._nearest_cause(working)) is not None:
            if best.share == 1.0 or (enough(best.treated.final) and self._outdoes(best)):
                return best
            full = self.whole(best)
            working = [e for e in working if e is not best] + ([full] if is_effective(full) else [])
        return None

    def _nearest_cause(self, working: list[Experiment]) -> Experiment | None:
        """Of those that do about the same good the one furthest upstream; what rewires the program goes first."""
        working = [e for e in working if rewires(e, self.findings)] or working
        if not working:
            return None
        top = max(e.treated.final for e in working)
        close = [e for e in working if e.treated.final >= top - CLOSE * max(1.0, top)]
        return min(close, key=lambda e: (stage_of(e, self.findings), -e.treated.final))

    def _slow(self) -> list[Experiment]:
        slow = [e for e in self.tried if e.made and e.share < 1.0 and e.word != "harms"]
        if slow:
            self.foresee(slow[0])
        for screened in slow[:SLOW]:
            if is_effective(full := self.whole(screened)):
                return [full]
        return []

    def _outdoes(self, experiment: Experiment) -> bool:
        """Whether the patched script learns well, and the recorded run had come nowhere near by its own end."""
        reached = self.reached(experiment)
        return enough(reached) and worth_having(max(0.0, self.before), reached)


def suspects(findings: Sequence[Finding]) -> list[Suspect]:
    """Every distinct remedy with the faults it answers: first those of certain findings, then the most upstream."""
    by_remedy: dict[Remedy, list[str]] = {}
    for finding in sorted(findings, key=lambda f: not f.certain):
        for remedy in finding.remedies:
            by_remedy.setdefault(remedy, []).append(finding.fault)
    return [(remedy, tuple(dict.fromkeys(faults))) for remedy, faults in by_remedy.items()]


def is_effective(experiment: Experiment) -> bool:
    """Whether a replay is strong enough to name a cause."""
    if not experiment.works:
        return False
    before, after = experiment.without.final, experiment.treated.final
    if not experiment.judgeable and after <= STUCK:
        return False  # a loss that only rises less (one player's against another) says nothing of right and wrong
    return worth_having(before, after) or (not settled(before) and experiment.word == "heals")


def stage_of(experiment: Experiment, findings: Sequence[Finding]) -> Stage:
    """The earliest stage of the faults that an experiment answers."""
    return min((f.stage for f in findings if f.fault in experiment.request.faults), default=Stage.REPORTING)


def as_good(experiment: Experiment, other: Experiment) -> bool:
    """Whether it leaves as little to look for as another experiment does."""
    reached, top = experiment.treated.final, other.treated.final
    return enough(reached) or reached >= top - CLOSE * max(1.0, top)


def rewires(experiment: Experiment, findings: Sequence[Finding]) -> bool:
    """It makes the program do what its text says, and heals the run: a cause, whatever else would make up for it."""
    asked = [f for f in findings if f.fault in experiment.request.faults]
    wired = stage_of(experiment, findings) is Stage.WIRING or any(f.certain for f in asked)
    return experiment.word == "heals" and wired


def _promises(screened: Experiment) -> bool:
    """It may well be the cause: it is effective already, or would if its lanes agreed a little better."""
    return is_effective(screened) or (bool(screened.treated.lanes) and screened.gain >= WORTH)
