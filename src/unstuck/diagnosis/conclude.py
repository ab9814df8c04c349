"""From findings and the log to a diagnosis: a pure function, without torch. Roles are given in `roles`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from unstuck import __version__
from unstuck.diagnosis.cells import in_cells
from unstuck.diagnosis.experiment import Experiment, Recount, Replay, Run
from unstuck.diagnosis.level import ended
from unstuck.diagnosis.log import Budget
from unstuck.diagnosis.model import (
    Cut,
    Diagnosis,
    FileChange,
    Finding,
    Gap,
    Headroom,
    Metric,
    Outcome,
    Patch,
    Recording,
    State,
    Statement,
)
from unstuck.diagnosis.patch import diff, digest
from unstuck.diagnosis.plan import Choice, settle
from unstuck.diagnosis.roles import Judged
from unstuck.diagnosis.sanity import sane, unhurried
from unstuck.diagnosis.skill import NO_WORSE, WORTH, apart, learns, settled
from unstuck.diagnosis.standing import at_ceiling, headroom_of, still_prints
from unstuck.tape.model import Tape


@dataclass(frozen=True)
class Context:
    """What a conclusion needs besides tape, findings and log."""

    outcomes: tuple[Outcome, ...] = ()
    budget: Budget = field(default_factory=Budget)
    seconds: dict[str, float] = field(default_factory=dict)
    yardstick: tuple[str, float | None] | None = None
    """Name of the metric, and the best constant answer's."""
    notes: tuple[str, ...] = ()


def conclude(
    tape: Tape, findings: Sequence[Finding], log: Sequence[Experiment], context: Context = Context()
) -> Diagnosis:
    """Causes, suspects, consequences and hints; the patch; the log."""
    choice, recorded = settle(findings, log, context.budget), log[0].run or Run()
    judged = Judged(findings, log, choice, context.budget.prove)
    named = judged.named(tape)
    loud = {f.fault for f in named if f.role in ("cause", "suspect")}
    decisive = judged.decisive(named)
    diagnosis = Diagnosis(
        script=tape.script, torch=tape.torch, version=__version__, steps=tape.steps, stopped=tape.stopped,
        learns=learning(judged.state, recorded, headroom_of(log)), state=judged.state,
        metric=metric(recorded, choice, context), headroom=headroom_of(log), gap=gap(recorded, headroom_of(log)),
        recorded=recording(tape),
        findings=named, log=tuple(log[1:]),
        decisive=log.index(decisive) - 1 if decisive is not None else None,
        patch=patch(tape, judged, loud), outcomes=context.outcomes,
        notes=tuple(dict.fromkeys((*tape.notes, *context.notes, *(n for e in log for n in e.notes), *unreplayed(log)))),
        verified=verified(log, choice.last), seconds=context.seconds,
        statements=statements(log, loud, any(f.role == "cause" for f in named)),
        scores=recorded.scores, misled=misled(judged), broke=recorded.broke, unjudged=recorded.unjudged,
    )  # fmt: skip
    return in_cells(unhurried(sane(diagnosis, tape), recorded, choice.last), tape)


def statements(log: Sequence[Experiment], loud: set[str], caused: bool = False) -> tuple[Statement, ...]:
    """What micro-experiments on the recorded run show, without what a cause or suspect names. `caused`: a cause is
    proven."""
    told = (s for e in log if not e.request.behind for s in e.statements)
    return tuple({(s.what, s.site): s for s in told if s.fault not in loud and not (s.alone and caused)}.values())


def misled(judged: Judged) -> bool:
    """Whether the training goes well, while the score that the script prints is at chance or below."""
    run, printed = judged.run, judged.run.scores.printed
    poor = printed is not None and not learns(printed.skill)
    return poor and settled(run.known) and judged.state == "below-headroom"


def learning(state: State, run: Run, headroom: Headroom | None = None) -> bool | None:
    """Whether the run learns; None where that cannot be told."""
    if state == "too-early":
        return None
    if state in ("learns-well", "below-headroom", "does-not-learn"):
        return state != "does-not-learn"
    if run.skill is None or not run.judged:
        return None
    return learns(run.skill) or (state == "unknown" and (run.ranks is not None or at_ceiling(headroom)))


def gap(run: Run, headroom: Headroom | None) -> Gap | None:
    """The distance between rows trained on and rows that the script's last evaluation asks about, where it is wide."""
    if headroom is None or not headroom.held or run.score is None or not run.judged:
        return None
    wide = apart(run.known, headroom.skill(headroom.run))
    return Gap(headroom.metric, run.score, headroom.run) if wide else None


def metric(run: Run, choice: Choice, context: Context) -> Metric | None:
    """The task's metric as written and treated."""
    if context.yardstick is None or run.score is None or not run.judged:
        return None
    last, replay = choice.last, choice.replay
    treated = last.run.score if last is not None and last.run is not None and ended(last) else None
    if treated is None and replay is not None:
        treated = replay.treated.metric
    name, constant = context.yardstick
    return Metric(name, constant, run.score, treated)


def patch(tape: Tape, judged: Judged, loud: set[str]) -> Patch | None:
    """The files of the chosen patched run, as long as it answers a cause or a suspect.

    None where that run did worse and nothing proves the fault: then the patch is what harms; and where all it does is
    to make up in part for something else.
    """
    last, reruns = judged.choice.last, [c.rerun for c in judged.levels if c.rerun is not None]
    answered = loud & {fault for e in reruns for fault in e.request.faults}
    if last is None or not answered or answered <= judged.outranked:
        return None
    if last.word == "harms" and not certain(judged, last):
        return None
    shown = diff(tape.sources, dict(last.files), tape.folder)
    if not shown and not last.arguments and not last.environment:
        return None
    order = ("safe", "likely", "advice")
    written = [remedy for e in reruns for remedy in e.written]
    outside = bool(last.arguments or last.environment)
    trust = "advice" if outside else max((remedy.trust for remedy in written), key=order.index)
    files = tuple(FileChange(path, digest(tape.sources.get(path)), text) for path, text in last.files)
    return Patch(
        trust, patch_proven(judged, last), shown, tuple(r.name for r in written), files,
        passed(tape, last.arguments), dict(last.environment),
    )  # fmt: skip


def passed(tape: Tape, arguments: Sequence[str]) -> tuple[str, ...]:
    """The words of a command line that are other than the recorded ones, each behind the option that it belongs to."""
    old = tape.facts.command.args if tape.facts.command is not None else ()
    other = [n for n, (was, now) in enumerate(zip(old, arguments, strict=False)) if was != now]
    return tuple(word for n in other for word in (*_option(arguments, n), arguments[n]))


def _option(arguments: Sequence[str], n: int) -> Sequence[str]:
    before = arguments[n - 1 : n] if n else ()
    return before if "=" not in arguments[n] and all(word.startswith("-") for word in before) else ()


def patch_proven(judged: Judged, last: Experiment) -> bool:
    """The patched script's own run learns clearly better, or reports what is right and learns no worse."""
    if not ended(last) or last.run is None or still_prints(judged.run, last.run):
        return False
    gain = last.run.known - max(judged.run.known, 0.0)
    shown = bool(recounts(judged.log, last))
    return gain >= WORTH or last.works or ((shown or certain(judged, last)) and gain >= NO_WORSE)


def certain(judged: Judged, last: Experiment) -> bool:
    """Whether the effect of every fault that a patched run answers is proven."""
    return all(f.effect.word == "proven" for f in judged.findings if not f.behind and f.fault in last.request.faults)


def verified(log: Sequence[Experiment], last: Experiment | None) -> str:
    """What the patched script itself did, and what is different in what it reports."""
    return "; ".join((last.why, *(e.why for e in recounts(log, last)))) if last is not None else ""


def recounts(log: Sequence[Experiment], rerun: Experiment) -> list[Experiment]:
    """The recounts of a patched run that show a difference."""
    told = (e for e in log if isinstance(e.request.means, Recount) and e.works)
    return [e for e in told if e.request.remedies == rerun.request.remedies]


def unreplayed(log: Sequence[Experiment]) -> list[str]:
    """Why nothing could be replayed."""
    bare = (e for e in log if isinstance(e.request.means, Replay) and not e.request.remedies)
    return [f"no replay: {e.why}" for e in bare if not e.made]


def recording(tape: Tape) -> Recording:
    """How much of the run was seen."""
    command, cut_by = tape.facts.command, tape.facts.cut_by
    if not cut_by and tape.stopped == "budget":  # an older tape does not say it
        cut_by = "steps" if command is not None and tape.steps >= command.steps else "seconds"
    return Recording(
        tape.steps,
        None,
        cast(Cut, cut_by) if cut_by else None,
        tape.facts.trained or tape.seconds,
        tape.facts.processes,
    )
