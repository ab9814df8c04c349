"""The whole story on one screen: read the tape, examine it, try the remedies, run the patched script, report.

A fault may hide behind another: what the patched script leaves on its own tape is examined like the first, until
nothing more is found or nothing more helps.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import torch

from unstuck.diagnosis.case import Case, Options, Say, hopeless, worthwhile
from unstuck.diagnosis.comparison import SETTLED, proof
from unstuck.diagnosis.convict import convict
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.mending import Ahead, mended
from unstuck.diagnosis.model import Finding, NotApplicable, Proof, Report
from unstuck.diagnosis.repair import CLEARLY, Repair, at_home, skill
from unstuck.diagnosis.reporting import reported
from unstuck.diagnosis.rerun import Rehearsals
from unstuck.replay.bench import bench_of
from unstuck.replay.stacked import warm
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.learning import Learning
from unstuck.source.text import Sources
from unstuck.tape.model import Tape, load

WELL = 0.9
"""A run that ends at this skill has no room for a remedy that convicts. A replay may be far shorter than the run, and
would take for a fault what only begins slowly."""
PASSED = 0.75
"""Below this on its last evaluation it may still have learnt the wrong thing well."""


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
        case.bench = bench_of(case.tape)
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
    if case.learning.adrift and not case.learning.broke:
        case.notes.append(
            "no replay: the task is not known and the loss takes both signs, so that its size says nothing"
        )
        return False
    suspected = any(f.remedies and not f.demonstrated for f in case.findings)
    return case.learning.final < SETTLED or (suspected and not _well(case.tape, case.learning))


def _well(tape: Tape, learning: Learning) -> bool:
    """Whether the run ends so well, on its batches and on what it was last asked, that no remedy could convict."""
    if learning.final < WELL:
        return False
    try:
        return FinalEvaluation.read(tape).skill >= PASSED
    except NotApplicable:
        return True


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


def _proofs(case: Case) -> list[Proof]:
    assert case.bench is not None
    ranked = sorted(case.conviction.tried, key=lambda c: (c is not case.conviction.chosen, -c.skill))
    return [proof(c, case.bench) for c in ranked]


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


__all__ = ["Case", "Options", "diagnose", "warm"]
