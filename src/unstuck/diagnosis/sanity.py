"""A last look at the finished diagnosis, in one place: what cannot be true is not said.

Each check is a pure function of the diagnosis (and of the tape, where one must know what was trained), and has nothing
to do with how the diagnosis came about.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from unstuck.diagnosis.experiment import Experiment, Replay, Resample, Run
from unstuck.diagnosis.model import Diagnosis, Effect, Finding, State
from unstuck.diagnosis.roles import role, shows_well
from unstuck.diagnosis.skill import LEARNS, SETTLED, STUCK, learns, rising
from unstuck.tape.model import Tape

LARGEST = 30.0
"""The largest learning rate in common published use: plain SGD of AWD-LSTM language models, arXiv 1708.02182."""
LARGEST_STEP = 1.0
"""The same where a rate is the size of each weight's step (Adam and its kin): weights themselves are below 1."""
BY_STEP = {"Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SparseAdam", "Rprop"}
"""Optimizers that divide by the size of the gradient."""
NO_SCORE = "compare two runs by what you train for"
LONGER = "record more steps (--seconds, --effort thorough)"
WILD = "a rate this large makes up for something else that shrinks the updates"


def sane(diagnosis: Diagnosis, tape: Tape) -> Diagnosis:
    """The diagnosis without what cannot be true."""
    checks = (_without_empty_comparisons, _without_wild_rates, _in_keeping_with_its_score, _without_unknown_scores)
    for check in checks:
        diagnosis = check(diagnosis, tape)
    return diagnosis


def _without_empty_comparisons(diagnosis: Diagnosis, tape: Tape) -> Diagnosis:
    """No verdict on a difference between runs that were never made."""
    return msgspec.structs.replace(diagnosis, log=tuple(_counted(e) for e in diagnosis.log))


def _counted(experiment: Experiment) -> Experiment:
    compares = experiment.word in ("heals", "helps", "no-difference", "harms")
    if not compares or experiment.lanes or not isinstance(experiment.request.means, Replay | Resample):
        return experiment
    return msgspec.structs.replace(experiment, word="not-tried", why=f"no run was compared: {experiment.why}")


def _in_keeping_with_its_score(diagnosis: Diagnosis, tape: Tape) -> Diagnosis:
    """A state that the score beside it denies is not known; a proven cause may know better."""
    skill = skill_of(diagnosis)
    if skill is None or diagnosis.broke or diagnosis.causes:
        return diagnosis
    denied = (diagnosis.state == "does-not-learn" and skill >= SETTLED) or (
        diagnosis.state == "learns-well" and skill <= STUCK and not shows_well(diagnosis.scores)
    )
    return in_state(diagnosis, "unknown", skill >= LEARNS) if denied else diagnosis


def skill_of(diagnosis: Diagnosis) -> float | None:
    """Where the score as written lies between the constant answer (0) and perfection (1); None where unknown."""
    metric = diagnosis.metric
    if metric is None or metric.as_written is None or metric.constant is None or metric.constant >= 1:
        return None
    return (metric.as_written - metric.constant) / (1 - metric.constant)


def in_state(diagnosis: Diagnosis, state: State, learns: bool | None) -> Diagnosis:
    """The diagnosis of a run in another state: suspects and hints are told apart anew."""
    found = tuple(_in_state(f, state) for f in diagnosis.findings)
    return msgspec.structs.replace(diagnosis, state=state, learns=learns, findings=_ordered(found))


def _ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Causes, suspects, consequences, hints; within each as they were."""
    order = ("cause", "suspect", "consequence", "hint")
    return tuple(sorted(findings, key=lambda f: order.index(f.role)))


def _in_state(finding: Finding, state: State) -> Finding:
    if finding.role not in ("suspect", "hint"):
        return finding
    what = role(finding.effect.word, finding.known, finding.never_meant, state)
    severity = {"cause": "error", "suspect": "warning"}.get(what, "hint")
    return msgspec.structs.replace(finding, role=what, severity=severity)


def _without_wild_rates(diagnosis: Diagnosis, tape: Tape) -> Diagnosis:
    """A learning rate that nobody uses is no cure: whatever it heals is to be looked for upstream."""
    kinds = {optimizer.kind for optimizer in tape.optimizers}
    most = LARGEST_STEP if kinds and kinds <= BY_STEP else LARGEST
    if not any(_wild(f, most) for f in diagnosis.findings):
        return diagnosis
    found = tuple(_suspected(f, diagnosis.state) if _wild(f, most) else f for f in diagnosis.findings)
    patch = diagnosis.patch
    if patch is not None and "set-rate" in patch.remedies:
        patch = msgspec.structs.replace(patch, trust="advice", proven=False)
    return msgspec.structs.replace(diagnosis, findings=_ordered(found), patch=patch)


def _without_unknown_scores(diagnosis: Diagnosis, tape: Tape) -> Diagnosis:
    """Where no score says how a run does, none says that another rate or size makes it better.

    What is seen on the tape or read in the text stays; so does a run that broke, whose loss says enough.
    """
    scored = diagnosis.learns is not None or diagnosis.metric is not None or diagnosis.broke
    if scored or diagnosis.state != "unknown" or not any(_measured(f) for f in diagnosis.findings):
        return diagnosis
    return _without_guesses(diagnosis, f"no score says how this run does, so none says that it does better: {NO_SCORE}")


def unhurried(diagnosis: Diagnosis, run: Run, patched: Experiment | None = None) -> Diagnosis:
    """No guess is the cause of a run that is on its way: it may only have made the first steps faster. So where the
    recording was cut while the run was still getting better, and where it learns partly and the patched script, run for
    itself, shows no gain."""
    if diagnosis.state not in ("unknown", "too-early") or not any(_measured(f) for f in diagnosis.findings):
        return diagnosis
    if run.cut and rising(run.curve):
        return _without_guesses(diagnosis, f"the run was still getting better when its recording was cut: {LONGER}")
    if patched is None or patched.run is None or not patched.run.ended or patched.works:
        return diagnosis
    if learns(run.known):
        return _without_guesses(diagnosis, f"the replayed steps gain, the whole run does not: {patched.why}")
    return diagnosis


def _without_guesses(diagnosis: Diagnosis, because: str) -> Diagnosis:
    """Causes that only a measurement names become hints, and the patch goes with the last of them."""
    found = tuple(_unsettled(f, because) if _measured(f) else f for f in diagnosis.findings)
    loud = any(f.role in ("cause", "suspect") and f.remedies for f in found)
    return msgspec.structs.replace(
        diagnosis, findings=_ordered(found), patch=diagnosis.patch if loud else None,
        decisive=diagnosis.decisive if loud else None,
    )  # fmt: skip


def _measured(finding: Finding) -> bool:
    return finding.role == "cause" and finding.known == "guessed"


def _unsettled(finding: Finding, because: str) -> Finding:
    return msgspec.structs.replace(finding, role="hint", severity="hint", effect=Effect("undecided", because))


def _wild(finding: Finding, most: float) -> bool:
    rates = [getattr(r, "rate", 0.0) for r in finding.remedies if r.name == "set-rate"]
    return finding.role == "cause" and bool(rates) and rates[0] > most and finding.fault.startswith("lr-")


def _suspected(finding: Finding, state: State) -> Finding:
    effect = Effect("undecided", f"{WILD}: {finding.effect.because}")
    return _in_state(msgspec.structs.replace(finding, role="suspect", effect=effect), state)
