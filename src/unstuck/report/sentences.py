"""What a report says in words: shared by every face, so that no two of them can disagree."""

from __future__ import annotations

import math

from unstuck.diagnosis.model import Finding, Proof, Report, Site

MENDS = ("heals", "helps")


def number(value: float | str | None, digits: int = 3) -> str:
    """A reading as people write it: three digits, no needless zeros, `-` where there is none."""
    if value is None or isinstance(value, str):
        return value or "-"
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.{digits}g}"


def place(site: Site | None) -> str:
    """`train.py:31`, or nothing."""
    return f"{site.file}:{site.line}" if site is not None else ""


def listed(words: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def decisive(report: Report) -> Proof | None:
    """The experiment that convicts: one that mends, best of all with just the causes treated."""
    causes = {f.fault for f in report.causes}
    mending = [p for p in report.proofs if p.verdict in MENDS and (not causes or causes & set(p.faults))]
    return min(mending, key=lambda p: (set(p.faults) != causes, p.verdict != "heals", len(p.remedies)), default=None)


def loud(report: Report) -> tuple[Finding, ...]:
    """Findings to act on that were not convicted."""
    return tuple(f for f in report.findings if f.severity != "hint" and f.role == "suspect")


def verdict(report: Report) -> tuple[str, ...]:
    """The verdict: one or two sentences that a newcomer understands, each its own paragraph."""
    if report.causes:
        return tuple(filter(None, (_sick(report), _treated(report))))
    if loud(report):
        return (f"{_state(report)} Nothing was convicted, but {_things(len(loud(report)))} below should be looked at.",)
    if not report.steps:
        return (_unseen(report),)
    if failed(report):
        seen = f"after {report.steps} training steps" if report.steps > 1 else "after one training step"
        return (f"{report.script} stopped {seen} ({_stopped(report)}). Nothing in them explains it.",)
    if report.learns:
        return (f"Nothing wrong was found in {report.script}.", _healthy(report))
    return (f"{_state(report)} Nothing that was looked for explains it.",)


SAME = 0.01
"""Metrics that differ by less than this share are the same: two runs of one script differ by as much."""


def next_steps(report: Report, target: str = "") -> tuple[str, ...]:
    """What the person can do now: commands and what they are for. `target` is the script as they gave it."""
    steps = [f"unstuck explain {fault}" for fault in (*at_heart(report), *(f.fault for f in loud(report)))][:3]
    if report.patch is not None and report.patch.diff:
        steps.insert(0, f"unstuck run --write {target or report.script}   applies the patch (a .orig copy stays)")
    return tuple(dict.fromkeys(steps))


def beside(report: Report) -> tuple[str, ...]:
    """Causes that the decisive experiment is not about, such as a number that is computed wrongly."""
    proof = decisive(report)
    return tuple(dict.fromkeys(f.fault for f in report.causes if proof is not None and f.fault not in proof.faults))


def at_heart(report: Report) -> tuple[str, ...]:
    """The faults to explain: where one remedy mends several, they are one thing seen from several sides."""
    proof, others = decisive(report), beside(report)
    inner = tuple(dict.fromkeys(f.fault for f in report.causes if f.fault not in others))
    return (*(inner[:1] if proof is not None and len(proof.remedies) == 1 else inner), *others)


def _sick(report: Report) -> str:
    others = beside(report)
    names = tuple(dict.fromkeys(f.fault for f in report.causes if f.fault not in others))
    if report.learns and (decisive(report) is None or _only_told(report)):
        return f"{report.script} learns, but something in it is wrong. {_named(names, at_heart(report), 'fault')}."
    held = "learns less than it could" if report.learns else "does not learn"
    if failed(report):
        held = f"stopped ({_stopped(report)})"
    more = f" Beside it: {listed(others)}." if others else ""
    return f"{report.script} {held}. {_named(names, at_heart(report), 'cause')}.{more}"


def _named(names: tuple[str, ...], heart: tuple[str, ...], what: str) -> str:
    if len(names) == 1:
        return f"The {what} is {names[0]}"
    if names[1] not in heart:
        return f"The {what} is {names[0]}, which shows as {listed(names[1:])} too"
    return f"The {what}s, together, are {listed(names)}"


def _treated(report: Report) -> str:
    proof = decisive(report)
    if proof is None:
        return ""
    how = "learns" if proof.verdict == "heals" else "learns better"
    # The metric is the patched script's where that was run: then all that stands in the patch has its share in it.
    whole = report.patch.remedies if report.patch is not None and report.patch.proven else ()
    changed = f"With {listed(whole or proof.remedies)}, and nothing else changed,"
    if _only_told(report):
        better = "its memory grows no more" if "loss-keeps-graph" in proof.faults else "its evaluation is right"
        return f"{changed} it learns as before, and {better}."
    return f"{changed} it {how}: {_gain(report, proof)}"


def _only_told(report: Report) -> bool:
    """Whether the patch leaves the training as it is: the metric on its batches was as good before."""
    metric, proof = report.metric, decisive(report)
    if proof is None or proof.means != "patched script":
        return False
    known = metric is not None and metric.treated is not None and metric.as_written is not None
    return known and abs(metric.treated - metric.as_written) < SAME * abs(metric.treated)  # type: ignore[union-attr,operator]


def _gain(report: Report, proof: Proof) -> str:
    metric = report.metric
    if metric is not None and metric.treated is not None:
        instead = f" instead of {number(metric.as_written)}" if metric.as_written is not None else ""
        return f"{metric.name} {number(metric.treated)} on each batch before its update{instead}{_constant(report)}."
    before, after = last(proof.without.skill), last(proof.treated.skill)
    return f"skill {number(after)} instead of {number(before)} (1 is perfect, 0 the best constant answer)."


def last(skill: tuple[float, ...]) -> float | None:
    """The last known value of a curve."""
    return next((v for v in reversed(skill) if v is not None and not math.isnan(v)), None)


def _constant(report: Report) -> str:
    constant = report.metric.constant if report.metric is not None else None
    return f" (always giving the same answer: {number(constant)})" if constant is not None else ""


def _healthy(report: Report) -> str:
    if report.metric is None or report.metric.as_written is None:
        return f"It learns, by what {_count(report.steps)} showed."
    metric = report.metric
    return f"It learns: {metric.name} {number(metric.as_written)} on each batch before its update{_constant(report)}."


def _state(report: Report) -> str:
    if report.learns is None:
        return f"Whether {report.script} learns could not be measured."
    if report.learns:
        return f"{report.script} learns."
    known = report.metric is not None and report.metric.as_written is not None
    score = f"{report.metric.name} {number(report.metric.as_written)}" if known else ""  # type: ignore[union-attr]
    beside = f": {score} on each batch before its update" if known else ""
    return f"{report.script} does not learn{beside}{_constant(report) if known else ''}."


def _unseen(report: Report) -> str:
    if report.stopped.startswith("script"):
        return f"No training step was seen: {report.stopped}."
    return f"Nothing can be said about {report.script}: {report.stopped}."


def failed(report: Report) -> bool:
    """Whether the script ended by an error of its own; an interrupt is none."""
    return report.stopped.startswith("script failed") and "KeyboardInterrupt" not in report.stopped


def _stopped(report: Report) -> str:
    return report.stopped.removeprefix("script failed: ")


def _things(n: int) -> str:
    return "what stands" if n == 1 else f"{n} things that stand"


def _count(steps: int) -> str:
    return "one training step" if steps == 1 else f"{steps} training steps"
