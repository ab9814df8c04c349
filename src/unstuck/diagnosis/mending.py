"""From what was found to a repair: what replay convicted and what is certain, tried as a patched script of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from unstuck.diagnosis.case import Case
from unstuck.diagnosis.comparison import SETTLED, Comparison, convicts, raised, rank
from unstuck.diagnosis.model import Proof
from unstuck.diagnosis.recount import Retold, retold
from unstuck.diagnosis.repair import CLEARLY, Answer, Repair, edited, rehearsed, skill, story, word
from unstuck.diagnosis.repair import reported as reported_by
from unstuck.diagnosis.verdict import LEAST, ROOM
from unstuck.diagnosis.widening import ENOUGH

FURTHER = 2
"""Times that a remedy which does not suffice in the patched script is taken further."""


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
        return self._reached(comparison) >= ENOUGH

    def outdoes(self, comparison: Comparison) -> bool:
        """Whether it does, and the recorded run had come nowhere near by its own end."""
        reached = self._reached(comparison)
        return reached >= ENOUGH and raised(max(0.0, skill(self.case.learning)), reached)

    def _reached(self, comparison: Comparison) -> float:
        """The skill of the patched script; -1 where there is none, or it does not go through."""
        repair = self._repair(comparison)
        if not repair.remedies:
            return -1.0
        ran = rehearsed(repair, self.case.rehearsals, self.case.say)
        return skill(ran.learning) if ran.ran else -1.0

    def _repair(self, comparison: Comparison) -> Repair:
        sure, answers = certain(self.case), _answers(self.case, comparison)
        first = sure if _explains(sure, comparison) else answered(answers, sure)
        return edited(self.case.tape, self.case.sources, first)


def mended(case: Case) -> Repair:
    """The best repair of the case: what replay convicted and what is certain, or what patched scripts show."""
    sure = certain(case)
    best = Repair(case.tape, case.sources)
    if case.conviction.chosen is not None and _explains(sure, case.conviction.chosen):
        best = _tried(case, sure)
        if best.ran and skill(best.learning) >= max(SETTLED, skill(case.learning) + CLEARLY):
            case.proofs.insert(0, of_patched(case, best))
            return best
    for answers in convicted(case):
        best = _tried(case, answered(answers, sure))
        if best.ran or case.late:
            return _taken_further(case, best)
    if sure:
        best = _tried(case, sure)
        case.proofs += [of_patched(case, best)] if best.rehearsal is not None else []
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


def _taken_further(case: Case, best: Repair) -> Repair:
    """A rate that a short replay bears may be too large for the whole run: smaller ones, while they do better."""
    for _ in range(FURTHER):
        more = [further for r in best.remedies if (further := getattr(r, "further", lambda: None)()) is not None]
        if len(more) != len(best.remedies) or not best.ran or case.late or skill(best.learning) >= SETTLED:
            break
        repair = _tried(case, [(r, best.faults) for r in more])
        if not repair.ran or skill(repair.learning) < skill(best.learning) + CLEARLY:
            break
        best = repair
        case.proofs.append(of_patched(case, best))
    return best


def of_patched(case: Case, repair: Repair) -> Proof:
    """The patched script's own run as an experiment: what was certain is seen to matter, or at least not to harm."""
    said = "heals" if cured(case, repair) else word(case.learning, repair)
    why, exams = story(case.learning, repair), reported_by(case.tape, repair)
    if said == "no-difference" and exams is not None and exams[1].skill - exams[0].skill >= LEAST:
        said = "heals" if exams[1].skill - exams[0].skill >= ROOM * (1 - exams[0].skill) else "helps"
        why += f"; on its last evaluation: {exams[0].name} {exams[0].score:.3f} before, {exams[1].score:.3f} after"
    if said == "no-difference" and (told := _retold(case, repair)) is not None:
        said, why = told.word, f"{why}; {told.why}"
    return Proof(tuple(r.name for r in repair.remedies), repair.faults, said, why, means="patched script")


def _retold(case: Case, repair: Repair) -> Retold | None:
    after = repair.rehearsal.tape if repair.rehearsal is not None else None
    return retold(case.tape, after, repair.faults) if after is not None else None


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
        if said in ("heals", "helps") or cured(case, repair):
            best = repair
        if said == "heals":
            break
    return best


def cured(case: Case, repair: Repair) -> bool:
    """The script stopped with an error, and with the patch it runs through."""
    return case.tape.error is not None and repair.ran and repair.rehearsal.tape.error is None  # type: ignore[union-attr]
