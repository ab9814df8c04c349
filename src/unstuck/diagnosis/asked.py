"""Hypotheses from outside: tried, convicted, refuted or left undecided, by the same experiments as our own.

A patch is run contained and compared with the recorded run. What it shows decides; where it shows nothing, a check of
ours for the same fault that was quiet contradicts it, and a micro-experiment that names the fault speaks for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from unstuck.diagnosis.experiment import Experiment, OwnNumber, Recount, Request, Rerun
from unstuck.diagnosis.model import (
    Diagnosis,
    Effect,
    Evidence,
    FileChange,
    Finding,
    Patch,
    Severity,
    Site,
    Statement,
    Trust,
)
from unstuck.diagnosis.patch import diff, digest
from unstuck.diagnosis.question import Answer, NoAnswer, asked, question
from unstuck.diagnosis.roles import role
from unstuck.diagnosis.skill import WORTH
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.treatment import CannotApply, CannotEdit, Treatment, Trial
from unstuck.report import dossier
from unstuck.rules.catalogue import catalogue
from unstuck.signals.account import account
from unstuck.signals.looks import looks
from unstuck.source.text import Sources, Splice
from unstuck.source.unified import CannotPatch, patched
from unstuck.tape.model import Tape

Run = Callable[[Request], Experiment]
ASKED = "asked"
SAID = "said by the command that was asked"


class GivenPatch(Treatment, frozen=True):
    """The patch of an answer: written as it is, tried by the patched script only."""

    name: ClassVar[str] = "given-patch"
    trust: ClassVar[Trust] = "likely"
    number: int
    """Of the answer, from 1."""
    diff: str

    def summary(self) -> str:
        """What it does."""
        return f"apply the patch of answer {self.number}"

    def apply(self, trial: Trial) -> Trial:
        """No replay knows what a text does."""
        raise CannotApply("a patch that was given is tried by the patched script")

    def edit(self, sources: Sources) -> Sources:
        """The sources with the diff applied; CannotEdit where it does not fit."""
        try:
            new = patched(self.diff, sources.files.get)
        except CannotPatch as reason:
            raise CannotEdit(str(reason)) from None
        unknown = [path for path in new if path not in sources.files]
        if unknown:
            raise CannotEdit(f"{unknown[0]}: no file of the recorded program")
        splices = (Splice(path, 0, len(sources.files[path]), text) for path, text in new.items())
        return sources.spliced(*splices)


@dataclass(frozen=True)
class Tried:
    """An answer and the experiments about it."""

    answer: Answer
    made: tuple[Experiment, ...] = ()

    @property
    def proof(self) -> Experiment | None:
        """The experiment that shows its effect: by the score, or else by the number that the script prints."""
        return next((e for e in self.made if _works(e)), None) or next((e for e in self.made if _shows(e)), None)

    @property
    def effect(self) -> Effect:
        """What the cause does to this run."""
        if self.proof is not None:
            return Effect("proven", self.proof.why if _works(self.proof) else str(self.proof.own))
        if not self.made:
            return Effect("undecided", "no experiment was made" if self.answer.patch else "no patch was given")
        moved = next((e.own.moved for e in self.made if e.own is not None and _moves(e)), "")
        if moved:
            return Effect("undecided", f"{moved}; whether that is better is not known")
        refuting = next((e for e in self.made if _refutes(e)), None)
        return Effect("refuted", refuting.why) if refuting is not None else Effect("undecided", self.made[0].why)


def _works(experiment: Experiment) -> bool:
    """Whether the patched run is better by its score: a patch may change what the loss is, which is then no score."""
    return experiment.works and (experiment.run is None or experiment.run.judged)


def _shows(experiment: Experiment) -> bool:
    """Whether the patched script of a seeded program prints a number that is half of the way to perfection better, or a
    share that is twice as large: not every metric can reach 1 (a hit rate among all items)."""
    run, own = experiment.run, experiment.own
    if run is None or own is None or not run.ended or not run.seeded or own.gain < WORTH:
        return False
    return own.heals or 0 < 2 * own.before <= own.after <= 1


def _moves(experiment: Experiment) -> bool:
    """Whether a seeded script prints quite another number, whose words do not say which way it is better."""
    run = experiment.run
    return experiment.own is not None and bool(experiment.own.moved) and run is not None and run.ended and run.seeded


def _refutes(experiment: Experiment) -> bool:
    """Whether a patched run speaks against a cause: a run without a score of its own cannot, and one does not whose
    script prints a better number."""
    judged = experiment.run is None or experiment.run.judged
    better = experiment.own is not None and experiment.own.gain >= WORTH
    return judged and not better and experiment.word in ("no-difference", "harms")


def in_turn(diagnosis: Diagnosis, tape: Tape, command: str, run: Run | None) -> Diagnosis:
    """The diagnosis with what a command of the person's has to say, tried where `run` makes experiments.

    Raises nothing: a failure costs a note.
    """
    try:
        return _in_turn(diagnosis, tape, command, run)
    except NoAnswer as reason:
        return _noted(diagnosis, f"the command that was asked gave no answer: {reason}")
    except Exception as error:
        return _noted(diagnosis, f"the answers were not tried: {type(error).__name__}: {str(error)[:120]}")


def _in_turn(diagnosis: Diagnosis, tape: Tape, command: str, run: Run | None) -> Diagnosis:
    told = question(dossier.plain(diagnosis, looks(tape), account(tape)), tape.sources, sorted(catalogue()))
    answers = asked(command, json.dumps(told, ensure_ascii=False))
    if not answers:
        return _noted(diagnosis, "the command that was asked names no cause")
    return concluded(diagnosis, tape, [_tried(n, a, run) for n, a in enumerate(answers, 1)])


def _noted(diagnosis: Diagnosis, note: str) -> Diagnosis:
    return msgspec.structs.replace(diagnosis, notes=(*diagnosis.notes, note))


def _tried(number: int, answer: Answer, run: Run | None) -> Tried:
    """The patched script, and for a fault of the report, where it learns no better, what both scripts report."""
    if answer.patch is None or run is None:
        return Tried(answer)
    remedies, fault = (GivenPatch(number, answer.patch),), name_of(answer.cause)
    faults = (fault,) if fault else ()
    rerun = run(Request(Rerun(), remedies, faults))
    reporting = bool(fault) and catalogue()[fault].stage is Stage.REPORTING
    if rerun.works or rerun.run is None or not rerun.run.ended or not reporting:
        return Tried(answer, (rerun,))
    return Tried(answer, (rerun, run(Request(Recount(fault), remedies, faults))))


def name_of(cause: str) -> str:
    """The fault of our vocabulary that a cause names ("" where it names none)."""
    plain = cause.strip().lower().replace("_", "-").replace(" ", "-")
    return plain if plain in catalogue() else ""


def concluded(diagnosis: Diagnosis, tape: Tape, tried: Sequence[Tried]) -> Diagnosis:
    """The diagnosis with the answers: named ones as findings, others as statements. Pure."""
    named = [(name, t) for t in tried if (name := name_of(t.answer.cause))]
    best = Best.of([*diagnosis.log, *(e for t in tried for e in t.made)])
    findings = _merged(diagnosis.findings, [_finding(diagnosis, tape, name, t, best) for name, t in named])
    statements = [_statement(tape, t, best) for t in tried if not name_of(t.answer.cause)]
    log = tuple(e for t in tried for e in t.made)
    ranked = sorted(findings, key=lambda f: ROLES.index(f.role))
    return msgspec.structs.replace(
        diagnosis, findings=tuple(ranked), statements=(*diagnosis.statements, *statements),
        log=(*diagnosis.log, *log), patch=_patch(diagnosis, tape, tried),
    )  # fmt: skip


ROLES = ("cause", "suspect", "consequence", "hint")
"""The loudest first."""


def _merged(ours: Sequence[Finding], given: Sequence[Finding]) -> list[Finding]:
    """Of each fault the louder findings; where they are equally loud, ours, which rest on the tape."""
    found = list(ours)
    for finding in given:
        same = [ROLES.index(f.role) for f in found if f.fault == finding.fault]
        if min(same, default=len(ROLES)) > ROLES.index(finding.role):
            found = [f for f in found if f.fault != finding.fault] + [finding]
    return found


def _reached(experiment: Experiment) -> float:
    """Skill of a patched run that went through; 0 of any other experiment."""
    return experiment.run.known if experiment.run is not None and experiment.run.ended else 0.0


@dataclass(frozen=True)
class Best:
    """The most that any patch reaches."""

    skill: float = 0.0
    printed: dict[str, OwnNumber] = field(default_factory=dict)
    """By its words, the printed number with the largest gain."""

    @classmethod
    def of(cls, log: Sequence[Experiment]) -> Best:
        """Of the experiments of a log."""
        printed: dict[str, OwnNumber] = {}
        for own in sorted((e.own for e in log if e.own is not None and _shows(e)), key=lambda own: own.gain):
            printed[own.words] = own
        return cls(max((_reached(e) for e in log if _works(e)), default=0.0), printed)

    def ahead_of(self, tried: Tried) -> str:
        """What another patch reaches, where that of an answer helps and stays clearly behind it; else ""."""
        proof = tried.proof
        if proof is None:
            return ""
        if _works(proof):
            return f"another patch reaches {self.skill:.3f}" if _reached(proof) + WORTH <= self.skill else ""
        other = self.printed.get(proof.own.words) if proof.own is not None else None
        ahead = other is not None and proof.own is not None and proof.own.gain + WORTH <= other.gain
        return f"with another patch {other}" if ahead else ""


def _effect(tried: Tried, best: Best) -> Effect:
    """What the cause does to this run beside what others do."""
    ahead = best.ahead_of(tried)
    return Effect("undecided", f"{tried.effect.because}; {ahead}") if ahead else tried.effect


def _finding(diagnosis: Diagnosis, tape: Tape, fault: str, tried: Tried, best: Best) -> Finding:
    rule, effect = catalogue()[fault], _effect(tried, best)
    behind = bool(best.ahead_of(tried))
    what = "hint" if behind else role(effect.word, "guessed", rule.never_meant, diagnosis.state)
    against = next((o for o in diagnosis.outcomes if o.fault == fault and o.status == "quiet"), None)
    if what == "suspect" and against is not None:
        what, effect = "hint", Effect("undecided", f"our check for it found nothing; {effect.because}")
    severity: Severity = "error" if what == "cause" else "warning" if what == "suspect" else "hint"
    said = f"{(tried.answer.why or tried.answer.cause).rstrip('.')} ({SAID})"
    return Finding(
        fault, said, site_of(tape, tried.answer), tuple(_evidence(diagnosis, fault)),
        tuple(r for e in tried.made[:1] for r in e.request.remedies), severity, what, "guessed", effect,
        stage=rule.stage, origin=ASKED,
    )  # fmt: skip


def _evidence(diagnosis: Diagnosis, fault: str) -> list[Evidence]:
    """What our own check for the fault says, and what micro-experiments that name it show."""
    checks = [o for o in diagnosis.outcomes if o.fault == fault and o.status != "not-applicable"]
    shown = [s for s in diagnosis.statements if s.fault == fault]
    told = [Evidence(f"our check for {fault}", o.status, "fired") for o in checks]
    return told + [Evidence(s.experiment, s.what, "what the cause would show") for s in shown]


def _statement(tape: Tape, tried: Tried, best: Best) -> Statement:
    answer, effect = tried.answer, _effect(tried, best)
    what = f"{answer.cause.rstrip('.')}: {answer.why}".rstrip(": .") if answer.why else answer.cause.rstrip(".")
    said = f"{what} ({SAID}; {effect.word}: {effect.because})"
    return Statement(said, site_of(tape, answer), ASKED, proven=effect.word == "proven")


def site_of(tape: Tape, answer: Answer) -> Site | None:
    """The place that an answer names, where there is one."""
    file = (answer.file or "").removeprefix("./")
    known = file if file in tape.sources else next((f for f in tape.sources if f.endswith(f"/{file}")), "")
    if not file or not known or answer.line is None:
        return None
    return Site(known, min(answer.line, 1 + tape.sources[known].count("\n")))


def _patch(diagnosis: Diagnosis, tape: Tape, tried: Sequence[Tried]) -> Patch | None:
    """Ours where it is proven, else the best of the given ones that are."""
    works = [e for t in tried if t.proof is not None for e in t.made if e.files]
    if (diagnosis.patch is not None and diagnosis.patch.proven) or not works:
        return diagnosis.patch
    best = max(works, key=lambda e: e.run.known if e.run is not None else 0.0)
    files = tuple(FileChange(path, digest(tape.sources.get(path)), text) for path, text in best.files)
    return Patch("likely", True, diff(tape.sources, dict(best.files)), (GivenPatch.name,), files)


__all__ = ["concluded", "in_turn", "name_of"]
