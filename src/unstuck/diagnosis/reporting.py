"""Everything found out about one case, with each finding in its role."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from unstuck import __version__
from unstuck.diagnosis.case import Case, hopeless
from unstuck.diagnosis.comparison import rank
from unstuck.diagnosis.mending import cured
from unstuck.diagnosis.model import Finding, Metric, Report
from unstuck.diagnosis.repair import NO_WORSE, Repair, skill, story, word
from unstuck.diagnosis.verdict import LEARNS


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
    return cured(case, repair) or word(case.learning, repair) in ("heals", "helps")


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
    gain = skill(repair.learning) - max(skill(case.learning), 0.0)  # worse than a constant answer is nothing learnt
    return gain > 0.05 or cured(case, repair) or (case.conviction.chosen is None and gain >= NO_WORSE)
