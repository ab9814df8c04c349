"""What a diagnosis says in words: shared by every face, so that no two of them can disagree."""

from __future__ import annotations

import math

from unstuck.diagnosis.experiment import Experiment, Micro, Rerun, Resample, Sweep
from unstuck.diagnosis.model import Diagnosis, Finding, Headroom, Site
from unstuck.diagnosis.skill import LEAST, SHORTEST, below, settled
from unstuck.recording.notes import UNRECORDED

KNOWN = {"observed": "observed on the tape", "read": "read in the source", "guessed": "inferred from a measurement"}
"""How a fact is known, in words."""


def number(value: float | str | None, digits: int = 3) -> str:
    """A reading as people write it: three digits, no needless zeros, `-` if there is none."""
    if value is None or isinstance(value, str):
        return value or "-"
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    words = f"{value:.{digits}g}"
    return str(int(float(words))) if "e+" in words and abs(value) < 1e6 else words


def place(site: Site | None) -> str:
    """`train.py:31`, `train.ipynb cell 4:2`, or nothing."""
    if site is None:
        return ""
    return f"{site.file} cell {site.cell}:{site.line}" if site.cell else f"{site.file}:{site.line}"


def listed(words: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def decisive(diagnosis: Diagnosis) -> Experiment | None:
    """The experiment that the verdict rests on."""
    return diagnosis.log[diagnosis.decisive] if diagnosis.decisive is not None else None


def verdict(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The verdict: the state of the run, what causes it, and what the fix does. Each is a line of its own."""
    if not diagnosis.steps and not diagnosis.causes and not diagnosis.suspects:
        return (_unseen(diagnosis), *processes(diagnosis))
    held = (headroom(diagnosis), gap(diagnosis))
    lines = (
        _state(diagnosis),
        _own_number(diagnosis),
        *held,
        _named(diagnosis),
        _fix(diagnosis),
        _cut(diagnosis),
        *processes(diagnosis),
    )
    return tuple(filter(None, lines))


def headroom(diagnosis: Diagnosis) -> str:
    """What simple learners reach on the same rows, beside the network."""
    found = diagnosis.headroom
    if found is None or diagnosis.state == "learns-well":
        return ""
    by, _, rows = found.by.partition(" on ")
    own, best = number(found.run, 2), number(found.baseline, 2)
    same = "the same rows" if found.held else f"{rows} (rows not trained on)"
    if is_below(found):
        said = f"Your network: {found.metric} {own}. On {same}, {by} reaches {best}"
        return f"{said}: the data hold it, the program does not get it."
    if found.gain[0] < LEAST and not settled(found.skill(found.run)):
        if diagnosis.causes:
            return ""  # what holds the run back is known, and may hold these learners back, too
        beaten = number(max(found.run, found.constant or 0.0), 2)
        return f"Nothing we tried beats {found.metric} {beaten} either ({by}: {best}): look at the labels."
    return f"On {same}, {by} reaches {found.metric} {best}; your network {own}."


def is_below(found: Headroom) -> bool:
    """Whether the rows hold clearly more than the network gets out of them."""
    run = found.skill(found.run)
    return below(run, run + found.gain[0])


def gap(diagnosis: Diagnosis) -> str:
    """The distance between rows trained on and others."""
    found = diagnosis.gap
    if found is None:
        return ""
    wide = f"{found.metric} {number(found.training, 2)} on training rows, {number(found.held_out, 2)} on rows"
    return f"Gap: {wide} of its last evaluation that it was not trained on."


def processes(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What is to be said where the run had several processes."""
    said = diagnosis.recorded.processes if diagnosis.recorded is not None else ()
    return tuple(f"{line[:1].upper()}{line[1:]}." for line in said)


def next_steps(diagnosis: Diagnosis, target: str = "") -> tuple[str, ...]:
    """What the person can do now: commands and what they are for. `target` is the script as they gave it."""
    loud = (*at_heart(diagnosis), *(f.fault for f in diagnosis.suspects))
    steps = [f"unstuck explain {fault}" for fault in loud[:3]]
    live = diagnosis.patch is not None and diagnosis.patch.cells and not diagnosis.patch.files  # no file to write to
    if diagnosis.patch is not None and diagnosis.patch.diff and not live:
        steps.insert(0, _applied(target or diagnosis.script))
    return tuple(dict.fromkeys(steps))


def _applied(script: str) -> str:
    if script.endswith((".py", ".ipynb")):
        return f"unstuck run --write {script}   applies the patch (a .orig copy stays)"
    return "git apply   takes the patch, from the folder that its paths start at"  # a function that was watched


def beside(diagnosis: Diagnosis) -> tuple[str, ...]:
    """Causes that the decisive experiment is not about, such as a metric that is computed wrongly."""
    proof = decisive(diagnosis)
    about = set(proof.request.faults) if proof is not None else {f.fault for f in diagnosis.causes}
    return tuple(dict.fromkeys(f.fault for f in diagnosis.causes if f.fault not in about))


def at_heart(diagnosis: Diagnosis) -> tuple[str, ...]:
    """The faults to explain: those that one remedy answers are one thing seen from several sides."""
    proof, others = decisive(diagnosis), beside(diagnosis)
    inner = tuple(dict.fromkeys(f.fault for f in diagnosis.causes if f.fault not in others))
    single = proof is not None and len(proof.request.remedies) == 1
    return (*(inner[:1] if single else inner), *others)


def failed(diagnosis: Diagnosis) -> bool:
    """Whether the script ended by an error of its own; an interrupt is none."""
    return diagnosis.stopped.startswith("script failed") and "KeyboardInterrupt" not in diagnosis.stopped


def last(skill: tuple[float, ...]) -> float | None:
    """The last known value of a curve."""
    return next((v for v in reversed(skill) if v is not None and not math.isnan(v)), None)


def means(experiment: Experiment) -> str:
    """What kind of experiment it was."""
    match experiment.request.means:
        case Rerun():
            return "patched script"
        case Resample(kind=kind):
            return f"rows: {kind}"
        case Sweep():
            return "learning rates"
        case Micro(kind=kind):
            return f"recorded step: {kind}"
    return type(experiment.request.means).__name__.lower()


def contained(diagnosis: Diagnosis) -> str:
    """How patched scripts were contained while they ran."""
    means = tuple(dict.fromkeys(e.contained for e in diagnosis.log if e.contained))
    if not means:
        return ""
    if means == ("none",):
        return "the patched script was run in a copy of its folder, not contained (--rerun-uncontained)"
    return f"the patched script was run contained ({listed(means)})"


def to_settle(finding: Finding, diagnosis: Diagnosis) -> str:
    """What would settle a suspect: one thing to do."""
    because = finding.effect.because
    if "no experiment was made" in because:
        return "run without --no-prove"
    if not finding.remedies:
        return f"check the line by hand (unstuck explain {finding.fault})"
    if diagnosis.steps < SHORTEST and (diagnosis.recorded is None or diagnosis.recorded.cut_by is None):
        return f"train for at least {SHORTEST} steps"
    if diagnosis.recorded is not None and diagnosis.recorded.cut_by is not None:
        return f"record more steps: unstuck run {' '.join(filter(None, (_longer(diagnosis), diagnosis.script)))}"
    return f"apply {finding.remedies[0].name} and compare two runs (unstuck explain {finding.fault})"


def tried(diagnosis: Diagnosis) -> tuple[list[Experiment], list[Experiment]]:
    """The experiments with a verdict, the decisive one and those that work first; and those that were not made."""
    log = [e for e in diagnosis.log if not isinstance(e.request.means, Micro)]
    done = [e for e in log if e.made and (e.request.remedies or e.request.faults)]
    left = [e for e in log if e.request.remedies and not e.made]
    best = decisive(diagnosis)
    return sorted(done, key=lambda e: (e is not best, not e.works, e.word == "no-difference")), left


def row(experiment: Experiment) -> tuple[str, ...]:
    """An experiment under COLUMNS."""
    replayed = bool(experiment.treated.lanes)
    before, after = (experiment.without.final, experiment.treated.final) if replayed else (None, None)
    on = f"{experiment.lanes} x {experiment.steps} steps" if experiment.steps else ""
    p = number(experiment.p, 2) if experiment.p is not None else ""
    return what(experiment), means(experiment), experiment.word, number(before, 2), number(after, 2), on, p


COLUMNS = ("experiment", "by", "verdict", "skill", "with it", "on", "p")
"""What `row` gives of an experiment."""
SCALE = "skill: 0 is the best constant prediction, 1 is perfect; of a replay, the median of its lanes"
"""What the numbers of `row` are."""


def what(experiment: Experiment) -> str:
    """What was tried: its remedies, else its faults."""
    names = " + ".join(dict.fromkeys(r.name for r in experiment.request.remedies))
    return names or listed(experiment.request.faults) or "as written"


def short(page: str) -> tuple[str, str]:
    """A rule's page in short: its title, and why the fault hurts, on one line."""
    reason = paragraph(page, "## Why it hurts")
    return page.partition("\n")[0].rstrip("."), reason


def paragraph(page: str, heading: str) -> str:
    """The first paragraph below a heading of a page, on one line."""
    _, _, after = page.partition(heading + "\n")
    return " ".join(after.strip().partition("\n\n")[0].split())


def untold(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What a reader must not conclude from the report."""
    missed = sum(o.status == "not-applicable" for o in diagnosis.outcomes)
    rules = f"{missed} of {len(diagnosis.outcomes)} rules do not apply to this program or could not be read."
    lines = (_cut(diagnosis), rules if missed else "", _unsure(diagnosis), *diagnosis.notes)
    return tuple(dict.fromkeys(filter(None, lines)))


def _unsure(diagnosis: Diagnosis) -> str:
    if diagnosis.patch is None:
        return ""
    if not diagnosis.patch.proven:
        return "The patch is not proven to help: compare two runs before keeping it."
    return "The patch was proven with this script's seed and data; other data may behave differently."


def checked(diagnosis: Diagnosis) -> str:
    """How many rules were applicable."""
    looked = sum(o.status != "not-applicable" for o in diagnosis.outcomes)
    return f"{looked} of {len(diagnosis.outcomes)} rules"


def _state(diagnosis: Diagnosis) -> str:
    script = diagnosis.script
    if failed(diagnosis) and diagnosis.recorded is not None and diagnosis.recorded.cut_by == "signal":
        return f"{script} was {_stopped(diagnosis)}; its first {_count(diagnosis.steps)} were recorded."
    if failed(diagnosis):
        return f"{script} stopped after {_count(diagnosis.steps)} ({_stopped(diagnosis)})."
    score = _score(diagnosis)
    if diagnosis.state == "too-early":
        return f"Too early to tell whether {script} learns after {_count(diagnosis.steps)}{score}."
    if diagnosis.broke:
        return f"{script} does not learn: its loss becomes NaN or infinite."
    if diagnosis.unjudged:
        return f"{script} cannot be judged by its score: {diagnosis.unjudged}."
    if diagnosis.learns is None:
        return f"No score says whether {script} learns: unknown task, or several models trained in turn."
    if diagnosis.state == "below-headroom":
        if diagnosis.misled:
            return f"{script} learns its training batches{score}. {_after_training(diagnosis)}"
        if diagnosis.headroom is None or not is_below(diagnosis.headroom):
            return f"{script} learns its training batches and scores poorly in its own evaluation{score}."
        return f"{script} learns less than its data hold{score}."
    if diagnosis.learns and diagnosis.state == "unknown":
        return f"{script} learns partly{score}."
    return f"{script} {'learns' if diagnosis.learns else 'does not learn'}{score}."


def _own_number(diagnosis: Diagnosis) -> str:
    """The score that the script prints and the rows it was computed from, unless the training score says as much."""
    printed = diagnosis.scores.printed
    if printed is None or not printed.rows or diagnosis.misled or diagnosis.state == "learns-well":
        return ""
    where = f"{printed.file}:{printed.line}, " if printed.line is not None else ""
    return f"It prints {printed} ({where}computed from {printed.rows})."


def _after_training(diagnosis: Diagnosis) -> str:
    """The printed score that belies the training."""
    printed, held = diagnosis.scores.printed, diagnosis.scores.held_out
    where = f" ({printed.file}:{printed.line})" if printed is not None and printed.line is not None else ""
    also = f", and reaches {number(held)} on rows not trained on" if held is not None else ""
    few = any(s.experiment == "same-rows" for s in diagnosis.statements)
    wrong = "its batches hold few different rows" if few else "something is wrong after the training step"
    return f"It prints {printed}{where}{also}: {wrong}."


def _score(diagnosis: Diagnosis) -> str:
    metric = diagnosis.metric
    if metric is None or metric.as_written is None:
        return ""
    if metric.constant == 0 and metric.as_written < -1:  # R2 has no lower bound: the size says nothing
        return f": {metric.name} below -1 on each batch before its update, worse than the mean of the targets"
    constant = f" (baseline {number(metric.constant)})" if metric.constant is not None else ""
    return f": {metric.name} {number(metric.as_written)} on each batch before its update{constant}"


def _named(diagnosis: Diagnosis) -> str:
    if diagnosis.causes:
        return _causes(diagnosis)
    count, hints = len(diagnosis.suspects), len(diagnosis.findings)
    if count:
        one = "one suspect is" if count == 1 else f"{count} suspects are"
        return f"No cause is proven; {one} listed below."
    if any(statement.proven for statement in diagnosis.statements):
        return "No rule names the cause; the command that was asked does, and its patch proves it."
    if diagnosis.misled and not failed(diagnosis):
        return f"No rule names the reason: {checked(diagnosis)} applied."
    if diagnosis.learns is not False and diagnosis.statements and not failed(diagnosis):
        return "No fault is proven; what was seen in the recorded steps is listed below."
    if diagnosis.learns and not failed(diagnosis):
        if not hints:
            return f"Nothing wrong was found ({checked(diagnosis)} applied)."
        return f"No fault was found; {hints} {'hint' if hints == 1 else 'hints'} (--verbose)."
    if diagnosis.learns is None and not failed(diagnosis):
        return f"No fault was found ({checked(diagnosis)} applied)."
    tried = sum(e.made for e in diagnosis.log)
    return f"No known fault explains this: {checked(diagnosis)} applied, {tried} experiments made."


def _causes(diagnosis: Diagnosis) -> str:
    others, heart = beside(diagnosis), at_heart(diagnosis)
    names = tuple(dict.fromkeys(f.fault for f in diagnosis.causes if f.fault not in others))
    if len(names) > 1 and names[1] not in heart:
        said = f"Cause: {names[0]} (also seen as {listed(names[1:])})."
    else:
        said = f"{'Cause' if len(names) == 1 else 'Causes, together'}: {listed(names)}."
    return f"{said} Also found: {listed(others)}." if others else said


def _fix(diagnosis: Diagnosis) -> str:
    proof, patch = decisive(diagnosis), diagnosis.patch
    if proof is None or not diagnosis.causes:
        return ""
    whole = patch.remedies if patch is not None and patch.proven else ()
    names = listed(tuple(dict.fromkeys(whole or (r.name for r in proof.request.remedies))))
    return f"Fix: {names}. {_gain(diagnosis, proof)}" if names else proof.why[:1].upper() + proof.why[1:] + "."


def _gain(diagnosis: Diagnosis, proof: Experiment) -> str:
    metric = diagnosis.metric
    how = "patched script" if diagnosis.patch is not None and diagnosis.patch.proven else "replay"
    if metric is not None and metric.treated is not None and metric.as_written is not None:
        name = metric.name[:1].upper() + metric.name[1:]
        before, after = number(metric.as_written), number(metric.treated)
        if before == after and diagnosis.causes and (shown := diagnosis.causes[0].effect.because):
            return shown[:1].upper() + shown[1:] + "."  # the training is the same; what is printed about it is not
        return f"{name} {before} -> {after} ({how})."
    if proof.treated.lanes:
        before, after = number(proof.without.final, 2), number(proof.treated.final, 2)
        return f"Skill {before} -> {after} (1 is perfect, 0 the baseline; {how})."
    return proof.why[:1].upper() + proof.why[1:] + "."


def _cut(diagnosis: Diagnosis) -> str:
    recorded = diagnosis.recorded
    if recorded is None or recorded.cut_by is None or failed(diagnosis):
        return ""
    done = _count(recorded.steps) + (f" of {recorded.of}" if recorded.of else "")
    match recorded.cut_by:
        case "steps":
            return f"Recording stopped the script after {done}; {_longer(diagnosis)} records more."
        case "seconds":
            share = f"{number(recorded.seconds, 2)} s of training"
            more = f"{_longer(diagnosis)} or --effort thorough records more"
            return f"Recording stopped the script after {done}, {share}; {more}."
        case "interrupt":
            return f"The script was interrupted after {done}; a longer run may show more."
    return f"The process ended without Python's clean-up; its first {done} were recorded."


def _longer(diagnosis: Diagnosis) -> str:
    """The option that records about four times as much; "" where no budget ended the recording."""
    recorded = diagnosis.recorded
    if recorded is None or recorded.cut_by not in ("steps", "seconds"):
        return ""
    if recorded.cut_by == "steps":
        return f"--steps {4 * recorded.steps}"
    return f"--seconds {max(10, 10 * round(0.4 * recorded.seconds))}"


def _unseen(diagnosis: Diagnosis) -> str:
    known = next((note for note in diagnosis.notes if note.startswith(UNRECORDED)), "")
    if known:
        return f"Nothing was recorded of a training step: {known.removeprefix(UNRECORDED)}."
    if diagnosis.stopped.startswith("script"):
        return f"Nothing was recorded of a training step: {diagnosis.stopped}."
    return f"Nothing can be said about {diagnosis.script}: {diagnosis.stopped}."


def _stopped(diagnosis: Diagnosis) -> str:
    return diagnosis.stopped.removeprefix("script failed: ")


def _count(steps: int) -> str:
    return "one training step" if steps == 1 else f"{steps} training steps"
