"""The whole story on one screen: read the tape, examine it, try the remedies, rehearse the patched script, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from unstuck import __version__
from unstuck.convict import SETTLED, Comparison, Conviction, convict, proof, rank
from unstuck.diagnosis import Finding, Metric, NotApplicable, Outcome, Patch, Proof, Remedy, Report
from unstuck.examine import Readings, examine
from unstuck.patch import diff
from unstuck.rehearse import Rehearsal, rehearse
from unstuck.remedy import CannotEdit
from unstuck.replay.bench import Bench
from unstuck.signals.learning import Learning
from unstuck.source import Sources
from unstuck.tape import Tape, load
from unstuck.verdict import LEARNS

Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """What the person asked for."""

    prove: bool = True
    rounds: int = 3
    """How often the patched script is recorded and examined again for a fault that hid behind another."""
    seconds: float = 75.0
    """After this much time no further experiment is begun."""


@dataclass
class Case:
    """One tape under examination."""

    tape: Tape
    sources: Sources
    learning: Learning | None = None
    bench: Bench | None = None
    findings: list[Finding] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    conviction: Conviction = field(default_factory=Conviction)
    notes: list[str] = field(default_factory=list)


def diagnose(folder: Path, options: Options, say: Say = lambda _: None) -> Report:
    """The report on a tape folder. Raises TapeError where there is no whole tape."""
    began = time.monotonic()
    tape = load(folder)
    case = opened(tape, _sources(tape), options, say)
    return _reported(case, options, say, began)


def opened(tape: Tape, sources: Sources, options: Options, say: Say) -> Case:
    """Examine a tape, and try the remedies of what was found by replay."""
    case = Case(tape, sources)
    readings = Readings(tape)
    say("reading the tape")
    try:
        case.learning = readings.of(Learning)
    except NotApplicable as reason:
        case.notes.append(str(reason))
    case.findings, case.outcomes = examine(readings)
    if options.prove and case.learning is not None and worth_a_bench(case):
        say("replaying the run as written")
        case.bench = Bench(tape)
        if not case.bench.why:
            case.conviction = convict(case.bench, case.findings, say)
            _swept(case, readings, say)
        else:
            case.notes.append(f"no replay: {case.bench.why}")
    return case


def worth_a_bench(case: Case) -> bool:
    """A run that learns well and of which nothing is suspected needs no experiment."""
    assert case.learning is not None
    return case.learning.final < SETTLED or any(f.remedies and not f.demonstrated for f in case.findings)


def _swept(case: Case, readings: Readings, say: Say) -> None:
    """Where nothing has mended the run, all rates are swept in one replay, and the rules that read the sweep are asked."""
    assert case.bench is not None and case.learning is not None
    chosen = case.conviction.chosen
    if case.learning.final >= SETTLED or (chosen is not None and chosen.skill >= SETTLED):
        return
    say("sweeping learning rates")
    try:
        readings.give(case.bench.sweep())
    except Exception as error:  # a sweep that cannot be made costs two rules, not the report
        case.notes.append(f"no sweep of rates: {type(error).__name__}")
        return
    case.findings, case.outcomes = examine(readings)
    case.conviction = convict(case.bench, case.findings, say, case.conviction)


def _sources(tape: Tape) -> Sources:
    main = tape.script if tape.script in tape.sources else next(iter(tape.sources), tape.script)
    return Sources(dict(tape.sources), main)


# -- the patch -------------------------------------------------------------------------------------------------------


@dataclass
class Repair:
    """A changed set of sources, the remedies in it, and what became of it."""

    sources: Sources
    remedies: list[Remedy] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    rehearsal: Rehearsal | None = None
    learning: Learning | None = None


def edited(sources: Sources, remedies: Sequence[tuple[Remedy, Sequence[str]]]) -> Repair:
    """The sources with every remedy that finds its place; the others become notes."""
    repair = Repair(sources)
    for remedy, faults in remedies:
        try:
            repair.sources = remedy.edit(repair.sources)
            repair.remedies.append(remedy)
            repair.faults += faults
        except CannotEdit as reason:
            repair.notes.append(f"{remedy.name} was not written into the patch: {reason}")
        except Exception as error:
            repair.notes.append(f"{remedy.name} was not written into the patch: {type(error).__name__}: {error}"[:200])
    return repair


def _learning(rehearsal: Rehearsal) -> Learning | None:
    try:
        return Learning.read(rehearsal.tape) if rehearsal.tape is not None else None
    except NotApplicable:
        return None


def rehearsed(case: Case, repair: Repair, say: Say) -> Repair:
    """The repair with its own run."""
    say("running the patched script: " + ", ".join(r.summary() for r in repair.remedies))
    changed = {p: t for p, t in repair.sources.files.items() if case.tape.sources.get(p) != t}
    try:
        repair.rehearsal = rehearse(case.tape, changed)
        repair.learning = _learning(repair.rehearsal)
    except (FileNotFoundError, OSError) as reason:
        repair.notes.append(f"the patched script was not run: {reason}")
    return repair


# -- the story -------------------------------------------------------------------------------------------------------


def _reported(case: Case, options: Options, say: Say, began: float) -> Report:
    sure = [f for f in case.findings if f.demonstrated]
    chosen = case.conviction.chosen
    treated: list[tuple[Remedy, Sequence[str]]] = []
    if chosen is not None:
        treated += [(r, _faults_of(case, r)) for r in chosen.remedies]
    treated += [(r, (f.fault,)) for f in sure for r in f.remedies[:1]]
    proofs = _proofs(case)
    repair = edited(case.sources, treated)
    if options.prove and repair.remedies:
        repair = rehearsed(case, repair, say)
    elif options.prove and _unreplayable(case) and case.findings:
        repair, tried = by_rehearsal(case, options, say, began)
        proofs += tried
    causes = {fault for _, faults in treated for fault in faults} | set(repair.faults)
    findings = roles(case.findings, causes, sure)
    return Report(
        script=case.tape.script,
        torch=case.tape.torch,
        version=__version__,
        steps=case.tape.steps,
        stopped=case.tape.stopped,
        learns=_learns(case),
        metric=_metric(case, repair),
        findings=tuple(findings),
        proofs=tuple(proofs),
        patch=_patch(case, repair),
        outcomes=tuple(case.outcomes),
        notes=(*case.tape.notes, *case.notes, *repair.notes),
        verified=_verified(case, repair),
        seconds={"script": case.tape.seconds, "diagnosis": time.monotonic() - began},
    )


def _unreplayable(case: Case) -> bool:
    return case.bench is None or bool(case.bench.why)


def by_rehearsal(case: Case, options: Options, say: Say, began: float) -> tuple[Repair, list[Proof]]:
    """Where no replay can be built, the patched script alone decides: one remedy after the other, most upstream first."""
    proofs: list[Proof] = []
    best = Repair(case.sources)
    suspects = [(r, (f.fault,)) for f in sorted(case.findings, key=lambda f: rank(f.fault)) for r in f.remedies[:1]]
    for remedy, faults in suspects[:5]:
        if time.monotonic() - began > options.seconds:
            break
        repair = edited(case.sources, [(remedy, faults)])
        if not repair.remedies:
            continue
        repair = rehearsed(case, repair, say)
        word = _word(case, repair)
        proofs.append(
            Proof(
                (remedy.name,),
                tuple(faults),
                word,
                _verified(case, repair) or "it did not run through",
                means="patched script",
            )
        )
        if word == "heals":
            return repair, proofs
        if word == "helps" and not best.remedies:
            best = repair
    return best, proofs


def _word(case: Case, repair: Repair):
    """A verdict from two single runs: only a large difference counts."""
    if repair.rehearsal is None or not repair.rehearsal.ran or repair.learning is None:
        return "not-tried"
    before = case.learning.final if case.learning is not None else 0.0
    after = repair.learning.final
    if case.learning is not None and case.learning.task.kind == "unknown":
        before, after = (0.0 if case.learning.broke else before), after
    if after - before < 0.15:
        return "no-difference" if after > before - 0.15 else "harms"
    return "heals" if after >= LEARNS and (after - before >= 0.5 * (1 - max(before, 0)) or before <= 0.05) else "helps"


def _faults_of(case: Case, remedy: Remedy) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.fault for f in case.findings if remedy in f.remedies))


def _proofs(case: Case) -> list[Proof]:
    if case.bench is None:
        return []
    ranked = sorted(case.conviction.tried, key=lambda c: (c is not case.conviction.chosen, -c.skill))
    return [proof(c, case.bench) for c in ranked]


def roles(findings: Sequence[Finding], causes: set[str], sure: Sequence[Finding]) -> list[Finding]:
    """Findings with their roles: what was convicted is loud, everything else is a hint."""
    return sorted(
        (_with_role(f, causes, f in sure) for f in findings), key=lambda f: (f.role != "cause", rank(f.fault))
    )


def _with_role(finding: Finding, causes: set[str], sure: bool) -> Finding:
    if sure or finding.fault in causes:
        severity = "error" if finding.severity == "hint" else finding.severity
        return msgspec.structs.replace(finding, role="cause", severity=severity)
    return msgspec.structs.replace(finding, role="consequence" if causes else "hint", severity="hint")


def _learns(case: Case) -> bool | None:
    if case.learning is None or case.learning.task.kind == "unknown":
        return None if case.learning is None else not case.learning.broke
    return case.learning.final >= LEARNS


def _metric(case: Case, repair: Repair) -> Metric | None:
    if case.learning is None or case.learning.score is None:
        return None
    yard = case.learning.yardstick
    treated = repair.learning.score if repair.learning is not None else None
    chosen: Comparison | None = case.conviction.chosen
    if treated is None and chosen is not None and chosen.played is not None and chosen.played.rows:
        treated = float(chosen.played.score().median())
    return Metric(yard.name, yard.constant, case.learning.score, treated)


def _patch(case: Case, repair: Repair) -> Patch | None:
    text = diff(case.tape.sources, repair.sources.files)
    if not text:
        return None
    order = ["safe", "likely", "advice"]
    trust = max((r.trust for r in repair.remedies), key=order.index)
    proven = repair.rehearsal is not None and repair.rehearsal.ran and _better(case, repair)
    return Patch(trust, proven, text, tuple(r.name for r in repair.remedies))


def _better(case: Case, repair: Repair) -> bool:
    """The patched script's own run: it learns better, or (where only the report was wrong) no worse."""
    if repair.learning is None or case.learning is None:
        return repair.learning is not None
    gain = repair.learning.final - case.learning.final
    return gain >= -0.1 if case.conviction.chosen is None else gain > 0.05


def _verified(case: Case, repair: Repair) -> str:
    if repair.rehearsal is None:
        return ""
    if not repair.rehearsal.ran:
        how = "took too long" if repair.rehearsal.code is None else f"ended with exit code {repair.rehearsal.code}"
        return f"the patched script {how}: {repair.rehearsal.last_words}"
    if repair.learning is None or repair.learning.score is None or case.learning is None:
        return f"the patched script ran to its end; its last line: {repair.rehearsal.last_words}"
    before = "unknown" if case.learning.score is None else f"{case.learning.score:.3f}"
    return f"the patched script itself: {repair.learning.yardstick.name} {before} before, {repair.learning.score:.3f} after"
