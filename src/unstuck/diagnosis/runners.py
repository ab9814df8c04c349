"""Make the experiments that the plan asks for. Whatever goes wrong in one is one failed entry of the log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace

import msgspec

from unstuck.diagnosis.exam import Exam
from unstuck.diagnosis.experiment import (
    Arm,
    Baseline,
    Experiment,
    Micro,
    Recount,
    Replay,
    Request,
    Rerun,
    Resample,
    Run,
    Sweep,
    Word,
)
from unstuck.diagnosis.log import Patched
from unstuck.diagnosis.micro_runs import allowed, asked, of_earlier
from unstuck.diagnosis.model import NotApplicable, Remedy
from unstuck.diagnosis.recount import recounted
from unstuck.diagnosis.rerun import PatchedRun, PatchedRuns
from unstuck.diagnosis.skill import STUCK, WORTH, learns, settled
from unstuck.diagnosis.verdict import judge
from unstuck.diagnosis.whole_runs import rerun_of, run_of
from unstuck.headroom.measure import SECONDS as BASELINES
from unstuck.headroom.measure import measured
from unstuck.micro.catalogue import micro_experiments
from unstuck.micro.training import ready
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment
from unstuck.replay.bench import SECONDS, Bench
from unstuck.replay.extent import UNPLAYABLE, beside
from unstuck.replay.resample import resampled, unseen
from unstuck.replay.run import LaneResult
from unstuck.signals.fit_alone import alone
from unstuck.signals.own_number import own_number
from unstuck.signals.sweep import Sweep as SweepReading
from unstuck.source.text import Sources, started
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Tape

Say = Callable[[str], None]
ELSEWHERE = 3
"""Places besides the first in which a number is tried to be written, each at the cost of a run."""
REASONS = (CannotApply, CannotReplay, CannotEdit, NotApplicable)
"""Why an experiment cannot be made; anything else is a failure of ours."""


class Runners:
    """The tapes, benches and patched scripts of one diagnosis. Call it with a request; close it at the end."""

    def __init__(self, tape: Tape, say: Say, effort: float = 1.0, reruns: PatchedRuns | None = None) -> None:
        self.tapes: dict[Patched, Tape] = {(): tape}
        self.sweeps: dict[Patched, SweepReading] = {}
        self.micros: dict[tuple[str, Patched], object] = {}
        """Readings of the micro-experiments that were made, by name and tape."""
        self._spent = 0.0
        """Seconds of the micro-experiments."""
        self._sources: dict[Patched, Sources] = {(): started(tape)}
        self._benches: dict[Patched, Bench] = {}
        """The one that is in use."""
        self._runs: dict[Patched, Run] = {}
        self._reruns = PatchedRuns() if reruns is None else reruns
        self._say, self._effort = say, effort
        self._exam: tuple[Exam, Arm] | None = None
        """Questions of held-out rows, and what the lanes as written know of them."""
        self._related = False
        """Simple learners predict targets of rows that they were not trained on."""
        self._kinds: Mapping[type, Callable[[Request], Experiment]] = {
            Replay: self._replay, Sweep: self._sweep, Resample: self._resample, Rerun: self._rerun,
            Recount: self._recount, Micro: self._micro, Baseline: self._baseline,
        }  # fmt: skip

    def __call__(self, request: Request) -> Experiment:
        """Make one experiment; its failure is an entry like any other."""
        self._say(_said(request))
        began = time.monotonic()
        try:
            done = self._kinds[type(request.means)](request)
        except REASONS as reason:
            done = failed(request, str(reason))
        except Exception as error:
            done = failed(request, f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:160]}")
        return msgspec.structs.replace(done, seconds=time.monotonic() - began)

    def run(self, behind: Patched = ()) -> Run:
        """How the run on a tape went; scored once."""
        if behind not in self._runs:
            self._runs[behind] = run_of(self.tapes[behind])
        return self._runs[behind]

    def prepare(self) -> None:
        """Start the process of a rerun that is likely to come."""
        with suppress(OSError):  # it is told when the script is asked for
            self._reruns.prepare(self.tapes[()])

    def begin(self, request: Request) -> None:
        """Begin a rerun that will probably be asked for, while replays are at work, if there is memory for both."""
        if any(bench.bytes > beside(self.tapes[()]) for bench in self._benches.values()):
            return
        sources, written, _ = self._edited(request.behind, request.remedies)
        if written:
            with suppress(OSError):  # it is told when the script is asked for
                self._reruns.begin(commanded(self.tapes[()], sources), sources.files, _kinds(written))

    def close(self) -> None:
        """End whatever still runs."""
        self._reruns.close()

    def bench(self, behind: Patched) -> Bench:
        """The bench of a tape. Raises CannotReplay where its step cannot be replayed."""
        if behind not in self._benches:
            bench = Bench(alone(self.tapes[behind]), SECONDS * self._effort)
            self._benches = {behind: bench}  # a search does not go back to an earlier tape
        if self._benches[behind].why:
            raise CannotReplay(self._benches[behind].why)
        return self._benches[behind]

    def _replay(self, request: Request) -> Experiment:
        assert isinstance(request.means, Replay)
        bench, share = self.bench(request.behind), request.means.share
        if request.means.held:
            return self._examined(request, bench)
        if not request.remedies:
            return as_written(request, bench)
        result, written = bench.treat(request.remedies, share), bench.untreated(share)
        alike = min(result.passes, written.passes)  # a replay may have been stopped early
        before, after = arm(written.first(alike)), arm(result.first(alike))
        verdict = judge(before, after, alike)
        why = f"median skill {verdict.without:.2f} without, {verdict.treated:.2f} with, over {len(after.lanes)} lanes"
        word: Word = verdict.word
        if word in ("heals", "helps") and (told := self._told_by_heart(request, bench)):
            word, why = "no-difference", f"{why}, but only by heart: {told}"
        return Experiment(
            request, word, why, power=verdict.power, lanes=len(after.lanes), steps=alike, without=before,
            treated=after, p=verdict.p, interval=verdict.interval, judgeable=bench.task.kind != "unknown",
        )  # fmt: skip

    def _examined(self, request: Request, bench: Bench) -> Experiment:
        """Lanes over the whole course, asked about the rows of the last evaluation."""
        if self._exam is None or self._exam[0].bench is not bench:
            exam = Exam.of(bench)
            self._exam = exam, Arm(lanes=exam.skills())
        exam, before = self._exam
        after = Arm(lanes=exam.skills(request.remedies))
        verdict = judge(before, after, exam.steps)
        why = f"median skill on held-out rows {verdict.without:.2f} without, {verdict.treated:.2f} with"
        return Experiment(
            request, verdict.word, f"{why}, over {len(after.lanes)} lanes", power=verdict.power, lanes=len(after.lanes),
            steps=exam.steps, without=before, treated=after, p=verdict.p, interval=verdict.interval,
        )  # fmt: skip

    def _told_by_heart(self, request: Request, bench: Bench) -> str:
        """What shows that a treated run learns its rows by heart and nothing of others; "" where nothing does."""
        if self._related:
            return ""
        try:
            shown = unseen(bench, request.remedies)
        except (*REASONS, *UNPLAYABLE):
            return ""
        return shown.why if shown.word == "helps" else ""

    def _sweep(self, request: Request) -> Experiment:
        bench = self.bench(request.behind)
        sweep = self.sweeps[request.behind] = bench.sweep()
        rate = sweep.base * sweep.best
        return Experiment(
            request, "undecided", f"{len(sweep.factors)} learning rates; the best is {rate:.3g}",
            lanes=len(sweep.factors), steps=len(bench.course.passes), short=sweep.short,
        )  # fmt: skip

    def _micro(self, request: Request) -> Experiment:
        assert isinstance(request.means, Micro)
        tape, micro = alone(self.tapes[request.behind]), micro_experiments()[request.means.kind]
        ready()
        well = self.run(request.behind).judged and settled(self.run(request.behind).known)
        if well and micro.failing:
            raise NotApplicable("the run learns")
        left, began = allowed(tape, micro, well) * self._effort - self._spent, time.thread_time()
        if left < 0:
            raise CannotReplay("the time of the micro-experiments is used up")
        earlier = of_earlier(micro, self.tapes[request.behind], left)
        try:
            read = asked(micro, tape, left)
        except CannotReplay:
            if not earlier:
                raise
            return Experiment(request, "undecided", f"of an earlier fit: {earlier[0].what}", statements=earlier)
        finally:
            self._spent += time.thread_time() - began
        self.micros[micro.name, request.behind] = read
        return Experiment(
            request, "undecided", read.why, statements=(*read.statements, *earlier), numbers=read.numbers
        )  # fmt: skip

    def _resample(self, request: Request) -> Experiment:
        assert isinstance(request.means, Resample)
        shown = resampled(request.means.kind, self.bench(request.behind))
        return Experiment(
            request, shown.word, shown.why, lanes=shown.lanes, steps=shown.steps,
            without=Arm(lanes=(shown.before,)), treated=Arm(lanes=(shown.after,)),
        )  # fmt: skip

    def _baseline(self, request: Request) -> Experiment:
        run, tape = self.run(request.behind), self.tapes[request.behind]
        found = measured(tape, run.score, self._effort * BASELINES)
        self._related = learns(found.skill(found.interval[0]))
        why = f"{found.by} reach {found.baseline:.3f}, the run {found.run:.3f}"
        return Experiment(request, "undecided", why, headroom=found)

    def _edited(self, behind: Patched, remedies: Iterable[Remedy]) -> tuple[Sources, list[Remedy], list[str]]:
        """The sources with every remedy that finds its place; the others become notes."""
        sources, written, notes = self._sources[behind], [], []
        for remedy in remedies:
            try:
                sources = remedy.edit(sources)
                written.append(remedy)
            except Exception as error:  # an edit that fails costs its remedy, not the report
                reason = str(error) if isinstance(error, CannotEdit) else f"{type(error).__name__}: {error}"
                notes.append(f"{remedy.name} was not written into the patch: {reason}"[:200])
        return replace(sources, files=self._reruns.under_way(sources.files, _kinds(written))), written, notes

    def _rerun(self, request: Request) -> Experiment:
        sources, written, notes = self._edited(request.behind, request.remedies)
        if not written:
            return msgspec.structs.replace(failed(request, "; ".join(notes)), notes=tuple(notes))
        for bench in self._benches.values():
            bench.rest()
        try:
            done = self._reruns.of(commanded(self.tapes[()], sources), sources.files)
            for _ in range(ELSEWHERE):
                if (other := self._moved(request, written, done)) is None:
                    break
                sources, written, notes = other
                done = self._reruns.of(commanded(self.tapes[()], sources), sources.files)
        except OSError as reason:
            kept = self._patched(request, sources, written, notes)
            return msgspec.structs.replace(kept, why=f"the patched script was not run: {reason}")
        return self._ran(request, self._patched(request, sources, written, notes), sources, done)

    def _moved(
        self, request: Request, written: list[Remedy], done: PatchedRun
    ) -> tuple[Sources, list[Remedy], list[str]] | None:
        """The sources with what had no effect written elsewhere; None where all had one, or no other place is left."""
        if done.tape is None:
            return None
        before, after = self.tapes[request.behind], done.tape
        treatments = [r for r in written if isinstance(r, Treatment)]
        without = [r for r in treatments if after.updates and not r.took(before, after)]
        remedies = [r.elsewhere() if r in without and isinstance(r, Treatment) else r for r in written]
        sources, now, notes = self._edited(request.behind, [r for r in remedies if r is not None])
        return (sources, now, notes) if without and now else None

    def _patched(self, request: Request, sources: Sources, written: list[Remedy], notes: list[str]) -> Experiment:
        original = self._sources[()]
        changed = {path: text for path, text in sources.files.items() if text != original.files.get(path)}
        pairs = zip(original.arguments, sources.arguments, strict=True)
        given = tuple(n for n, (old, new) in enumerate(pairs) if old != new)
        environment = tuple(pair for pair in sources.environment if pair not in original.environment)
        return Experiment(
            request, "not-tried", "", written=tuple(written), files=tuple(changed.items()), notes=tuple(notes),
            arguments=sources.arguments if given else (), environment=environment,
        )  # fmt: skip

    def _ran(self, request: Request, kept: Experiment, sources: Sources, done: PatchedRun) -> Experiment:
        original, behind = self.tapes[()], (*request.behind, *request.remedies)
        kept = msgspec.structs.replace(kept, contained=done.means)
        if done.tape is not None:  # its tape may be of a copy; what follows is about the person's own folder
            done.tape.folder = original.folder
            self.tapes[behind], self._sources[behind] = done.tape, sources
            kept = msgspec.structs.replace(kept, own=own_number(original, done.tape) if done.ran else None)
        return rerun_of(kept, self.run(), done)

    def _recount(self, request: Request) -> Experiment:
        assert isinstance(request.means, Recount)
        behind = (*request.behind, *request.remedies)
        alike = abs(self.run(behind).known - self.run().known) < WORTH
        shown = recounted(self.tapes[()], self.tapes[behind], request.means.fault, alike)
        if shown is None:
            return Experiment(request, "undecided", "nothing that both scripts report is different")
        return Experiment(request, shown.word, shown.why)


def commanded(tape: Tape, sources: Sources) -> Tape:
    """The tape of a script that is to be started with other arguments and variables of the environment."""
    command = tape.facts.command
    if command is None:
        return tape
    command = msgspec.structs.replace(command, args=sources.arguments, environment=sources.environment)
    return msgspec.structs.replace(tape, facts=msgspec.structs.replace(tape.facts, command=command))


def _kinds(remedies: Iterable[Remedy]) -> tuple[str, ...]:
    return tuple(remedy.name for remedy in remedies)


def failed(request: Request, why: str) -> Experiment:
    """An experiment that could not be made."""
    return Experiment(request, "not-tried", why)


def as_written(request: Request, bench: Bench) -> Experiment:
    """The run as written, replayed: whether it can be, and whether its loss says anything of better and worse."""
    result = arm(bench.untreated(request.means.share if isinstance(request.means, Replay) else 1.0))
    unknown = bench.task.kind == "unknown"
    players = {update.optimizer for update in bench.tape.updates}
    judgeable = not unknown or (len(players) == 1 and result.final <= STUCK)
    notes = (f"replayed with one row in {bench.every} of each batch: all take too long",) if bench.every > 1 else ()
    return Experiment(
        request, "undecided", "the run as written", lanes=len(result.lanes), steps=len(bench.course.passes),
        without=result, treated=result, judgeable=judgeable, notes=notes,
    )  # fmt: skip


def arm(result: LaneResult) -> Arm:
    """One side of a replay: curves as medians over lanes, the final metric, each lane's skill."""
    skill, loss = result.curve()
    metric = float(result.score().median()) if result.rows else None
    return Arm(
        tuple(skill.median(1).values.tolist()), tuple(loss.median(1).values.tolist()), metric,
        tuple(result.skill().tolist()),
    )  # fmt: skip


def _said(request: Request) -> str:
    """What is being done, as a progress line."""
    names = ", ".join(remedy.summary() for remedy in request.remedies)
    match request.means:
        case Replay(share=share, held=held):
            part = "on the first part of the tape" if share < 1 else "on the whole tape"
            return f"replaying {part}: {names or 'as written'}{', asked about held-out rows' if held else ''}"
        case Rerun():
            return f"running the patched script: {names}"
        case Sweep():
            return "replaying many learning rates"
        case Resample(kind=kind):
            return f"replaying the recorded rows: {kind}"
        case Micro(kind=kind):
            return f"looking at the recorded steps: {kind}"
        case Baseline():
            return "asking simple learners what the recorded rows hold"
    return "comparing what both scripts report"
