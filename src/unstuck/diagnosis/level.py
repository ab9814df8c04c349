"""The plan on one tape: the recorded run's, or that of a patched run on which something else may show."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from unstuck.diagnosis.combine import combined
from unstuck.diagnosis.experiment import (
    Baseline,
    Experiment,
    Headroom,
    Micro,
    Recount,
    Request,
    Rerun,
    Resample,
    Run,
    Sweep,
)
from unstuck.diagnosis.log import Book, Patched, upstream
from unstuck.diagnosis.model import Finding, Remedy
from unstuck.diagnosis.search import SCREEN, Search, as_good, is_effective, stage_of
from unstuck.diagnosis.skill import (
    PASSED,
    WORTH,
    learns,
    leaves_room,
    rising,
    settled,
)
from unstuck.diagnosis.stages import Stage
from unstuck.diagnosis.standing import gapped, headroom_of, is_below, related

FURTHER = 2
"""How often a remedy that does not suffice in the patched script is made stronger."""


@dataclass
class Level:
    """The plan on one tape: the recorded run's, or a patched run's."""

    book: Book
    behind: Patched

    @property
    def run(self) -> Run:
        """How the run on this tape went."""
        run = self.book.run(self.behind)
        assert run is not None
        return run

    @property
    def findings(self) -> list[Finding]:
        """What was found on this tape, causes before consequences."""
        return self.worthwhile(self.book.found(self.behind))

    def micro(self) -> None:
        """Put the questions to the recorded steps that need no rule to ask them."""
        for kind in self.book.budget.micro:
            self.book.ask(Request(Micro(kind), behind=self.behind))

    def baseline(self) -> None:
        """Measure what simple learners reach on the recorded rows, where the run leaves room."""
        run = self.run
        if not self.behind and run.judged and leaves_room(run.shown):
            self.book.ask(Request(Baseline()))

    @property
    def headroom(self) -> Headroom | None:
        """What simple learners reach; None where that is not known, or not asked."""
        return headroom_of(self.book.log)

    @property
    def battery(self) -> list[Finding]:
        """Generic remedies for faults that no rule found on this tape."""
        known = {f.fault for f in self.book.found(self.behind)}
        of_battery = (f for f in self.book.findings if f.origin == "battery" and f.behind == self.behind)
        return sorted((f for f in of_battery if f.fault not in known), key=upstream)

    def resample(self) -> None:
        """Make the experiments with the recorded rows that rules name; one is not needed where learners answer it."""
        for finding in self.book.found(self.behind):
            for kind in finding.settles if not related(finding, self.headroom) else ():
                self.book.ask(Request(Resample(kind), (), (finding.fault,), self.behind))

    def worthwhile(self, findings: list[Finding]) -> list[Finding]:
        """The findings; where a proven fault leaves nothing to learn, without remedies of what is downstream of it."""
        last = min((f.stage for f in findings if f.leaves_nothing and self._proven(f)), default=None)
        if last is None:
            return findings
        return [f if f.stage <= last else msgspec.structs.replace(f, remedies=()) for f in findings]

    def _proven(self, finding: Finding) -> bool:
        settled_by = (self.book.known(Request(Resample(k), behind=self.behind)) for k in finding.settles)
        return finding.effect.word == "proven" or any(e is not None and e.works for e in settled_by)

    def search(self) -> Experiment | None:
        """The effective replay; None where none does, or nothing can be replayed."""
        if gapped(self.run, self.headroom if not self.behind else None):
            return self._searched([*self.findings, *self.battery], settle=False, spare=True, held=True)
        if not self._worth_replaying():
            return None
        written = self.book.ask(Request(SCREEN, behind=self.behind))
        if not written.made or not written.judgeable:
            return None
        if self._facts_first():
            return None
        first = self._searched(self.worthwhile(self.book.found(self.behind, swept=False)), settle=True)
        if self._well(first) or self._nothing_left() or self._facts_heal():
            return first
        self.book.ask(Request(Sweep(), behind=self.behind), spare=True)
        swept = self._at_the_persons_rate(self._searched(self.findings, settle=False))
        if self._well(swept) or not self._worth_the_battery():
            return swept
        return self._searched([*self.findings, *self.battery], settle=False, spare=True)

    def _at_the_persons_rate(self, swept: Experiment | None) -> Experiment | None:
        """Units or first weights that heal at the rate as written, where another rate makes up for them."""
        known = [*self.findings, *self.battery]
        if swept is None or stage_of(swept, known) < Stage.OPTIMISATION:
            return swept
        upstream = [f for f in known if f.stage in (Stage.UNITS, Stage.INIT) and f.remedies]
        best = self._searched(upstream, settle=False, spare=True) if upstream else None
        return swept if best is None or not as_good(best, swept) else best

    def _worth_the_battery(self) -> bool:
        """Whether generic remedies may show something: the rows hold more than the run gets, as far as is known."""
        known, run = self.headroom, self.run
        if run.cut and rising(run.curve):
            return False
        return (known is None and run.judged) or (known is not None and learns(known.skill(known.interval[0])))

    def _searched(
        self, findings: list[Finding], settle: bool, spare: bool = False, held: bool = False
    ) -> Experiment | None:
        search = Search(self.book, findings, self.behind, self._foresee, self._reached, self.run.known, spare, held)
        best = search.best(settle)
        return combined(search, best)

    def _well(self, chosen: Experiment | None) -> bool:
        if chosen is None:  # by the rows that headroom asks about: the run may know them less than its own
            return settled(self.run.known) and not is_below(self.headroom)
        patched = self.book.known(self._rerun_of(chosen))  # a whole run says more than a few replayed steps
        return self._content(max(self.run.known, chosen.treated.final, _known(patched)))

    def _content(self, skill: float) -> bool:
        """Whether a skill is as much as there is reason to look for."""
        return settled(skill) and not is_below(self.headroom, skill)

    def _facts_first(self) -> bool:
        """Whether the patched script learns with the facts alone, where no replay can show some of them: then other
        remedies are not tried."""
        never = (f for f in self.findings if f.remedies and f.never_meant and is_fact(f))
        training = [f for f in never if f.stage is not Stage.REPORTING]
        screened = [self.book.ask(Request(SCREEN, f.remedies[:1], (f.fault,), self.behind)) for f in training]
        return any(not e.made for e in screened) and self._facts_heal()

    def _facts_heal(self) -> bool:
        """Whether the patched script learns with the facts alone: then no rate has to be looked for."""
        rerun = self._ran(self.facts())
        return rerun is not None and self._content(_known(rerun))

    def _nothing_left(self) -> bool:
        return any(f.leaves_nothing and self._proven(f) for f in self.book.found(self.behind))

    def _worth_replaying(self) -> bool:
        """A run that learns well and of which nothing is suspected needs no experiment."""
        run = self.run
        if run.skill is None or ((run.adrift or run.turns) and not run.broke):
            return False
        suspected = any(f.remedies and not is_fact(f) for f in self.findings)
        if not self.behind and is_below(self.headroom):
            return True
        well = not leaves_room(run.skill) and (run.evaluation is None or run.evaluation >= PASSED)
        return not settled(run.skill) or (suspected and not well)

    def _foresee(self, experiment: Experiment) -> None:
        self.book.foresee(self._rerun_of(experiment))

    def _reached(self, experiment: Experiment) -> float:
        request = self._rerun_of(experiment)
        if not request.remedies:
            return -1.0
        ran = self.book.ask(request)
        return ran.run.known if ran.run is not None and ran.run.ended else -1.0

    def _rerun_of(self, experiment: Experiment) -> Request:
        facts = self.facts()
        return self._request(facts if self._upstream(facts, experiment) else _joined(self._answers(experiment), facts))

    def _request(self, answers: list[Answer]) -> Request:
        faults = tuple(dict.fromkeys(fault for _, faults in answers for fault in faults))
        return Request(Rerun(), tuple(remedy for remedy, _ in answers), faults, self.behind)

    def facts(self) -> list[Answer]:
        """The first remedy of what needs no replay: facts, and on a poor run what is seen and cannot be replayed."""
        poor = not settled(self.run.shown)
        certain = lambda f: is_fact(f) or (poor and f.known == "observed" and self._unreplayable(f))
        sure = (f for f in self.findings if f.remedies and certain(f) and not self._refuted(f))
        return [(f.remedies[0], (f.fault,)) for f in sure]

    def _unreplayable(self, finding: Finding) -> bool:
        """Whether its remedy was tried by replay and could not be: only the patched script can tell."""
        tried = (self.book.known(Request(SCREEN, (r,), (), self.behind)) for r in finding.remedies)
        return any(e is not None and not e.made for e in tried)

    def _refuted(self, finding: Finding) -> bool:
        replays = (e for e in self.book.replays(self.behind) if finding.remedies[0] in e.request.remedies)
        alone = [e for e in replays if len(e.request.remedies) == 1]
        return finding.effect.word == "refuted" or any(e.word in ("no-difference", "harms") for e in alone)

    def _upstream(self, facts: list[Answer], chosen: Experiment) -> bool:
        """What the tape shows stands upstream of what replay proves, and may be the reason for it."""
        shown = [f for f in self.findings if f.known == "observed" or f.effect.word == "proven"]
        stages = [f.stage for f in shown if any(f.fault in faults for _, faults in facts)]
        return bool(stages) and min(stages) < stage_of(chosen, [*self.findings, *self.battery])

    def _answers(self, experiment: Experiment) -> list[Answer]:
        known = [*self.findings, *self.battery]
        named = lambda r: tuple(dict.fromkeys(f.fault for f in known if r in f.remedies))
        return [(r, named(r)) for r in experiment.request.remedies]

    def rerun(self, replay: Experiment | None) -> Experiment | None:
        """The patched run that the patch is taken from."""
        facts = self.facts()
        if replay is not None and self._upstream(facts, replay):
            best = self._ran(facts)
            if best is not None and self._gained(best) and settled(_known(best)):
                return best
        failed: Experiment | None = None  # a patch that cannot be verified is still shown
        for experiment in self._effective_replays(replay):
            best = self._ran(_joined(self._answers(experiment), facts))
            if best is not None and ended(best):
                return self._stronger(best)
            failed = failed or best
        best = self._ran(facts) if facts else None
        return self._by_rerun(best) if self._undecided(replay, best) else best or failed

    def _ran(self, answers: list[Answer], spare: bool = False) -> Experiment | None:
        """The patched script with these remedies; None where there is nothing to write."""
        return self.book.ask(self._request(answers), spare) if answers else None

    def _gained(self, rerun: Experiment) -> bool:
        return _known(rerun) >= self.run.known + WORTH

    def _effective_replays(self, replay: Experiment | None) -> list[Experiment]:
        """The chosen replay, then two others that are effective: one whose patch cannot be written is no use."""
        if replay is None:
            return []
        others = [e for e in self.book.replays(self.behind) if e is not replay and is_effective(e)]
        others.sort(key=lambda e: (stage_of(e, [*self.findings, *self.battery]), -e.treated.final))
        return [replay, *others[:2]]

    def _stronger(self, best: Experiment) -> Experiment:
        """A rate that a short replay bears may be too large for the whole run: smaller ones, while they do better."""
        for _ in range(FURTHER):
            more = [stronger for r in best.request.remedies if (stronger := r.stronger()) is not None]
            if len(more) != len(best.request.remedies) or settled(_known(best)):
                break
            further = self._ran([(r, best.request.faults) for r in more], spare=True)
            if further is None or not ended(further) or _known(further) < _known(best) + WORTH:
                break
            best = further
        return best

    def _undecided(self, replay: Experiment | None, best: Experiment | None) -> bool:
        """Replay has settled nothing, the run is poor or broken, and there are suspects left."""
        if not self.run.judged and not self.run.broke:
            return False
        learnt = max(self.run.shown, best.run.shown if best is not None and best.run is not None else 0.0)
        poor = replay is None and not self._content(learnt)
        return poor and any(f.remedies for f in (*self.findings, *self._unreplayed_battery()))

    def _unreplayed_battery(self) -> list[Finding]:
        """Generic remedies where nothing can be replayed: only patched scripts can show what they do."""
        written = self.book.known(Request(SCREEN, behind=self.behind))
        replayed = written is None or written.made
        return [] if replayed or not self._worth_the_battery() else self.battery

    def _by_rerun(self, best: Experiment | None) -> Experiment | None:
        """One remedy after the other, most upstream first, on top of what has helped; without what replay refuted."""
        taken = set(best.request.remedies) if best is not None else set()
        known = [*self.findings, *self._unreplayed_battery()]
        left = [f for f in known if f.remedies and f.remedies[0] not in taken and not self._refuted(f)]
        for finding in left[: self.book.budget.reruns]:
            begun = self._answers(best) if best is not None else []
            tried = self._ran([*begun, (finding.remedies[0], (finding.fault,))], spare=True)
            if tried is not None and tried.works:
                best = tried
            if best is not None and best.word == "heals":
                break
        return best

    def recount(self, rerun: Experiment) -> None:
        """Compare what both scripts report, if the patch leaves the training as it is or a report is wrong."""
        if not ended(rerun):
            return
        for fault in rerun.request.faults:
            reporting = any(f.stage is Stage.REPORTING for f in self.findings if f.fault == fault)
            if reporting or not rerun.works:
                self.book.ask(Request(Recount(fault), rerun.request.remedies, (fault,), self.behind))

    def hides_something(self, rerun: Experiment) -> bool:
        """The patched run went through and still learns poorly: something else may be wrong with it."""
        run = rerun.run
        trained = run is not None and run.ended and run.passes > 0
        return trained and not settled(_known(rerun))

    def gains(self, rerun: Experiment, inner: Experiment) -> bool:
        """Whether what was found behind a patched run makes it clearly better."""
        return bool(inner.request.remedies) and _known(inner) >= _known(rerun) + WORTH


Answer = tuple[Remedy, tuple[str, ...]]
"""A remedy and the faults it answers."""


def is_fact(finding: Finding) -> bool:
    """Whether a finding belongs into the patch without a replay: nobody means it, or only reports can show it."""
    meant = not finding.never_meant and finding.stage is not Stage.REPORTING
    return finding.effect.word == "proven" or (finding.known != "guessed" and not meant)


def ended(rerun: Experiment) -> bool:
    """Whether the patched script went through."""
    return rerun.run is not None and rerun.run.ended


def _known(rerun: Experiment | None) -> float:
    return rerun.run.known if rerun is not None and rerun.run is not None and rerun.run.ended else 0.0


def _joined(answers: list[Answer], facts: list[Answer]) -> list[Answer]:
    """What replay proves, and what is certain."""
    return [*answers, *(a for a in facts if a[0] not in {r for r, _ in answers})]
