"""The whole story on one screen: read the tape, examine it, try the remedies, run the patched script, report.

A fault may hide behind another: what the patched script leaves on its own tape is examined like the first, until
nothing more is found or nothing more helps.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch

from unstuck import __version__
from unstuck.convict import ENOUGH, SETTLED, UPSTREAM, Comparison, Conviction, convict, convicts, proof, rank
from unstuck.diagnosis import Finding, Metric, NotApplicable, Outcome, Proof, Report
from unstuck.examine import Readings, examine
from unstuck.rehearse import Rehearsals
from unstuck.repair import CLEARLY, NO_WORSE, Answer, Repair, at_home, edited, rehearsed, skill, story, word
from unstuck.repair import reported as reported_by
from unstuck.replay.bench import Bench
from unstuck.replay.stacked import warm
from unstuck.signals.learning import Learning
from unstuck.source import Sources
from unstuck.tape import Tape, load
from unstuck.verdict import LEARNS, LEAST, ROOM

Say = Callable[[str], None]
HOPELESS = {"label-misaligned", "input-degenerate"}
"""Faults that leave nothing to learn but the single rows."""


@dataclass(frozen=True)
class Options:
    """What the person asked for, and how far to go for it."""

    prove: bool = True
    rounds: int = 3
    """How often a patched script is examined again for a fault that hid behind another."""
    rehearsals: int = 4
    """Patched scripts run per round at most."""
    seconds: float = 60.0
    """After this much time, the script's own included, no further experiment is begun."""


@dataclass(frozen=True)
class Moment:
    """When the examination began."""

    clock: float = field(default_factory=time.monotonic)
    worked: float = field(default_factory=lambda: sum(os.times()[:4]))

    def spent(self) -> float:
        """Seconds since, or our own and our children's work if that is less: a busy machine must not change a word."""
        return min(time.monotonic() - self.clock, sum(os.times()[:4]) - self.worked)


@dataclass
class Case:
    """One tape under examination."""

    tape: Tape
    sources: Sources
    options: Options
    say: Say
    rehearsals: Rehearsals
    began: Moment = field(default_factory=Moment)
    learning: Learning | None = None
    bench: Bench | None = None
    findings: list[Finding] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    conviction: Conviction = field(default_factory=Conviction)
    proofs: list[Proof] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def late(self) -> bool:
        """No time is left for another experiment."""
        return self.tape.seconds + self.began.spent() > self.options.seconds


def diagnose(folder: Path, options: Options, say: Say = lambda _: None) -> Report:
    """The report on a tape folder. Raises TapeError where there is no whole tape."""
    # One core is left to the patched script: threads that wait for each other there would stand in its way.
    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) - 1)))
    tape = load(folder)
    main = tape.script if tape.script in tape.sources else next(iter(tape.sources), tape.script)
    with closing(Rehearsals()) as rehearsals:
        case = opened(Case(tape, Sources(dict(tape.sources), main), options, say, rehearsals))
        repair = mended(case) if options.prove else Repair(tape, case.sources)
        for _ in range(options.rounds - 1):
            further = behind(case, repair)
            if further is None:
                break
            repair = further
        return reported(case, repair)


# -- examining -------------------------------------------------------------------------------------------------------


def opened(case: Case) -> Case:
    """Examine the case's tape, and try by replay the remedies of what was found."""
    readings = Readings(case.tape)
    case.say("reading the tape")
    try:
        case.learning = readings.of(Learning)
    except NotApplicable as reason:
        case.notes.append(str(reason))
    found, case.outcomes = examine(readings)
    case.findings = worthwhile(found)
    if case.options.prove and any(f.remedies for f in case.findings):
        case.rehearsals.prepare()
    if case.options.prove and case.learning is not None and worth_a_bench(case):
        case.say("replaying the run as written")
        case.bench = Bench(case.tape)
        if case.bench.why:
            case.notes.append(f"no replay: {case.bench.why}")
        else:
            if case.bench.every > 1:
                case.notes.append(f"replayed with one row in {case.bench.every} of each batch: all take too long")
            case.conviction = convict(case.bench, case.findings, case.say, ahead=Ahead(case))
            _swept(case, readings)
            case.proofs += _proofs(case)
    return case


def worth_a_bench(case: Case) -> bool:
    """A run that learns well and of which nothing is suspected needs no experiment."""
    assert case.learning is not None
    return case.learning.final < SETTLED or any(f.remedies and not f.demonstrated for f in case.findings)


def hopeless(findings: Sequence[Finding]) -> list[int]:
    """The ranks of faults that are shown, and that leave nothing to learn."""
    return [rank(f.fault) for f in findings if f.demonstrated and f.fault in HOPELESS]


def worthwhile(findings: Sequence[Finding]) -> list[Finding]:
    """The findings, without remedies that a hopeless fault upstream makes pointless.

    Where the targets are shown to have nothing to do with the inputs, what stands downstream of that could only make
    the network learn them by heart sooner.
    """
    last = min(hopeless(findings), default=len(UPSTREAM))
    return [f if rank(f.fault) <= last else msgspec.structs.replace(f, remedies=()) for f in findings]


def _swept(case: Case, readings: Readings) -> None:
    """Where nothing has mended the run, all rates are swept in one replay, and the rules that read it are asked."""
    assert case.bench is not None and case.learning is not None
    chosen = case.conviction.chosen
    if case.late or case.learning.final >= SETTLED or (chosen is not None and chosen.skill >= SETTLED):
        return
    if hopeless(case.findings):
        return
    case.say("sweeping learning rates")
    try:
        readings.give(case.bench.sweep())
    except Exception as error:  # a sweep that cannot be made costs two rules, not the report
        case.notes.append(f"no sweep of rates: {type(error).__name__}")
        return
    found, case.outcomes = examine(readings)
    case.findings = worthwhile(found)
    case.conviction = convict(case.bench, case.findings, case.say, case.conviction, Ahead(case))


@dataclass(frozen=True)
class Ahead:
    """The patched script of a promising experiment, begun while the replay is still at work."""

    case: Case

    def begin(self, comparison: Comparison) -> None:
        """Begin to run what `mended` will ask for if this experiment convicts in the end."""
        repair = self._repair(comparison)
        with suppress(OSError):  # it is told when the script is asked for
            if repair.remedies:
                self.case.rehearsals.begin(repair.original, repair.sources.files)

    def settles(self, comparison: Comparison) -> bool:
        """Whether the patched script learns so well that nothing further downstream could do better."""
        repair = self._repair(comparison)
        if not repair.remedies:
            return False
        ran = rehearsed(repair, self.case.rehearsals, self.case.say)
        return ran.ran and skill(ran.learning) >= ENOUGH

    def _repair(self, comparison: Comparison) -> Repair:
        sure, answers = certain(self.case), _answers(self.case, comparison)
        first = sure if _explains(sure, comparison) else answered(answers, sure)
        return edited(self.case.tape, self.case.sources, first)


def _proofs(case: Case) -> list[Proof]:
    assert case.bench is not None
    ranked = sorted(case.conviction.tried, key=lambda c: (c is not case.conviction.chosen, -c.skill))
    return [proof(c, case.bench) for c in ranked]


# -- mending ---------------------------------------------------------------------------------------------------------


def mended(case: Case) -> Repair:
    """The best repair of the case: what replay convicted and what is certain, or what patched scripts show."""
    sure = certain(case)
    best = Repair(case.tape, case.sources)
    if case.conviction.chosen is not None and _explains(sure, case.conviction.chosen):
        best = _tried(case, sure)
        if best.ran and skill(best.learning) >= max(SETTLED, skill(case.learning) + CLEARLY):
            case.proofs.insert(0, _of_patched(case, best))
            return best
    for answers in convicted(case):
        best = _tried(case, answered(answers, sure))
        if best.ran or case.late:
            return best
    if sure:
        best = _tried(case, sure)
        case.proofs += [_of_patched(case, best)] if best.rehearsal is not None else []
    if _undecided(case, best):
        return by_rehearsal(case, best)
    return best


def certain(case: Case) -> list[Answer]:
    """Remedies of what was demonstrated without any experiment."""
    return [(f.remedies[0], (f.fault,)) for f in case.findings if f.demonstrated and f.remedies]


def answered(answers: list[Answer], sure: list[Answer]) -> list[Answer]:
    """What replay convicts, and what is certain."""
    return [*answers, *(a for a in sure if a[0] not in {r for r, _ in answers})]


def _explains(sure: list[Answer], chosen: Comparison) -> bool:
    """What is certain stands upstream of what replay convicts, and may be the reason for it."""
    return bool(sure) and min(rank(f) for _, fs in sure for f in fs) < min(rank(f) for f in chosen.faults)


def convicted(case: Case) -> list[list[Answer]]:
    """The chosen set, then the other experiments that convict: one whose patch cannot be written is no use."""
    chosen = case.conviction.chosen
    if chosen is None:
        return []
    others = [c for c in case.conviction.tried if c is not chosen and convicts(c)]
    others.sort(key=lambda c: (min(rank(f) for f in c.faults), -c.skill))
    return [_answers(case, c) for c in (chosen, *others[:2])]


def _answers(case: Case, comparison: Comparison) -> list[Answer]:
    return [(r, _faults(case, r)) for r in comparison.remedies]


def _faults(case: Case, remedy: object) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.fault for f in case.findings if remedy in f.remedies))


def _tried(case: Case, answers: Sequence[Answer]) -> Repair:
    repair = edited(case.tape, case.sources, answers)
    return rehearsed(repair, case.rehearsals, case.say) if repair.remedies else repair


def _of_patched(case: Case, repair: Repair) -> Proof:
    """The patched script's own run as an experiment: what was certain is seen to matter, or at least not to harm."""
    said = "heals" if _cured(case, repair) else word(case.learning, repair)
    why, exams = story(case.learning, repair), reported_by(case.tape, repair)
    if said == "no-difference" and exams is not None and exams[1].skill - exams[0].skill >= LEAST:
        said = "heals" if exams[1].skill - exams[0].skill >= ROOM * (1 - exams[0].skill) else "helps"
        why += f"; on its last evaluation: {exams[0].name} {exams[0].score:.3f} before, {exams[1].score:.3f} after"
    return Proof(tuple(r.name for r in repair.remedies), repair.faults, said, why, means="patched script")


def _undecided(case: Case, best: Repair) -> bool:
    """Replay has settled nothing, the run is poor or broken, and there are suspects left."""
    if case.learning is not None and case.learning.task.kind == "unknown" and not case.learning.broke:
        return False
    learnt = max(skill(case.learning), skill(best.learning))
    return case.conviction.chosen is None and learnt < SETTLED and any(f.remedies for f in case.findings)


def by_rehearsal(case: Case, best: Repair) -> Repair:
    """Where replay cannot tell, patched scripts alone decide: one remedy after the other, most upstream first."""
    seen = {r for c in case.conviction.tried if c.judgement is not None for r in c.remedies} | set(best.remedies)
    suspects = [(f.remedies[0], (f.fault,)) for f in sorted(case.findings, key=lambda f: rank(f.fault)) if f.remedies]
    for answer in [a for a in suspects if a[0] not in seen][: case.options.rehearsals]:
        if case.late:
            break
        repair = _tried(case, [*best.answers, answer])
        if not repair.remedies:
            continue
        said = word(best.learning if best.ran else case.learning, repair)
        why = story(case.learning, repair) or "; ".join(repair.notes)
        case.proofs.append(Proof((answer[0].name,), answer[1], said, why, means="patched script"))
        if said in ("heals", "helps") or _cured(case, repair):
            best = repair
        if said == "heals":
            break
    return best


def _cured(case: Case, repair: Repair) -> bool:
    """The script stopped with an error, and with the patch it runs through."""
    return case.tape.error is not None and repair.ran and repair.rehearsal.tape.error is None  # type: ignore[union-attr]


def behind(case: Case, repair: Repair) -> Repair | None:
    """A further repair on top of one: what its patched script shows that the first tape could not. None: no more."""
    tape = repair.rehearsal.tape if repair.rehearsal is not None else None
    if tape is None or not repair.ran or not tape.passes or skill(repair.learning) >= SETTLED or case.late:
        return None
    inner = opened(Case(tape, repair.sources, case.options, case.say, case.rehearsals, began=case.began))
    new = [f for f in inner.findings if f.fault not in repair.faults]
    inner.findings = new
    further = mended(inner)
    if not further.remedies or skill(further.learning) < skill(repair.learning) + CLEARLY:
        return None
    case.proofs += inner.proofs
    known = {f.fault for f in case.findings}
    texts = {p: (t, case.tape.sources.get(p, t)) for p, t in repair.sources.files.items()}
    case.findings += [_home(f, texts) for f in new if f.fault in further.faults and f.fault not in known]
    answers = [*repair.answers, *further.answers]
    return Repair(
        case.tape, further.sources, answers, [*repair.notes, *further.notes], further.rehearsal, further.learning
    )


def _home(finding: Finding, texts: dict[str, tuple[str, str]]) -> Finding:
    file = finding.site.file if finding.site else ""
    return at_home(finding, *texts[file]) if file in texts else finding


# -- reporting -------------------------------------------------------------------------------------------------------


def reported(case: Case, repair: Repair) -> Report:
    """Everything found out, with each finding in its role."""
    sure = {f.fault for f in case.findings if f.demonstrated}
    causes = sure | unwritten(case, repair) | (set(repair.faults) if convicting(case, repair) else set())
    return Report(
        script=case.tape.script,
        torch=case.tape.torch,
        version=__version__,
        steps=case.tape.steps,
        stopped=case.tape.stopped,
        learns=_learns(case),
        metric=_metric(case, repair),
        findings=tuple(roles(case.findings, causes)),
        proofs=tuple(case.proofs),
        patch=repair.patch(proven=_proven(case, repair)) if causes else None,
        outcomes=tuple(case.outcomes),
        notes=(*case.tape.notes, *case.notes, *repair.notes),
        verified=_verified(case, story(case.learning, repair)),
        seconds={"script": case.tape.seconds, "diagnosis": time.monotonic() - case.began.clock},
    )


def unwritten(case: Case, repair: Repair) -> set[str]:
    """What replay convicted though no remedy could be written into the text: a cause without a patch is one still."""
    chosen = case.conviction.chosen
    return set(chosen.faults) if chosen is not None and not repair.remedies else set()


def _verified(case: Case, told: str) -> str:
    """The patched script's story, with its evaluations where those decided."""
    ran = (p.why for p in case.proofs if p.means == "patched script" and told)
    return next((why for why in ran if why.startswith(told)), told)


def convicting(case: Case, repair: Repair) -> bool:
    """Whether the remedies in the patch name causes: the replay convicted them, or the patched script did."""
    if case.conviction.chosen is not None:
        return not repair.ran or skill(repair.learning) - skill(case.learning) > NO_WORSE
    return _cured(case, repair) or word(case.learning, repair) in ("heals", "helps")


def roles(findings: Sequence[Finding], causes: set[str]) -> list[Finding]:
    """Findings with their roles: what was convicted is loud, everything else is a hint."""
    ordered = sorted((_with_role(f, causes) for f in findings), key=lambda f: (f.role != "cause", rank(f.fault)))
    return list(dict.fromkeys(ordered))


def _with_role(finding: Finding, causes: set[str]) -> Finding:
    if finding.fault in causes and (finding.remedies or finding.demonstrated):
        severity = "error" if finding.severity == "hint" else finding.severity
        return msgspec.structs.replace(finding, role="cause", severity=severity)
    return msgspec.structs.replace(finding, role="consequence" if causes else "hint", severity="hint")


def _learns(case: Case) -> bool | None:
    if case.learning is None or case.learning.task.kind == "unknown":
        return None if case.learning is None else not case.learning.broke
    if hopeless(case.findings):  # what it knows of the rows it was shown is no knowledge of others
        return False
    return case.learning.final >= LEARNS


def _metric(case: Case, repair: Repair) -> Metric | None:
    if case.learning is None or case.learning.score is None:
        return None
    yard, chosen = case.learning.yardstick, case.conviction.chosen
    treated = repair.learning.score if repair.learning is not None else None
    if treated is None and chosen is not None and chosen.played is not None and chosen.played.rows:
        treated = float(chosen.played.score().median())
    return Metric(yard.name, yard.constant, case.learning.score, treated)


def _proven(case: Case, repair: Repair) -> bool:
    """The patched script's own run: it learns clearly better, or (where only the report was wrong) no worse."""
    if not repair.ran:
        return False
    gain = skill(repair.learning) - skill(case.learning)
    return gain > 0.05 or _cured(case, repair) or (case.conviction.chosen is None and gain >= NO_WORSE)


__all__ = ["Case", "Options", "diagnose", "warm"]
