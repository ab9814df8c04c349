"""The diagnosis for a terminal, on one screen: verdict, evidence, suspects, patch, what was tried.

With `verbose` also why each cause hurts, the skill curve, consequences, hints, and what could not be examined.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from unstuck.diagnosis.experiment import Experiment, Micro
from unstuck.diagnosis.model import Diagnosis, Finding, Statement
from unstuck.report import plot
from unstuck.report.layout import printed, stacked, table, titled
from unstuck.report.quoting import line_of
from unstuck.report.sentences import (
    COLUMNS,
    KNOWN,
    SCALE,
    at_heart,
    contained,
    decisive,
    listed,
    next_steps,
    number,
    paragraph,
    place,
    row,
    to_settle,
    tried,
    untold,
    what,
)
from unstuck.report.sentences import verdict as sentences
from unstuck.rules.catalogue import pages

LINES, TRIED, SHOWN, READINGS, STATED = 24, 6, 3, 3, 3
"""Lines of the diff, experiments, suspects, readings per finding, and statements on the first screen; --verbose shows
all."""
WORDS = {"heals": "green", "helps": "green", "harms": "red"}
DIFF = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}


def render(
    diagnosis: Diagnosis,
    *,
    width: int = 100,
    colour: bool = False,
    ascii: bool = False,
    folder: Path | None = None,
    target: str = "",
    verbose: bool = False,
) -> str:
    """The diagnosis as text. `folder` holds the script, so that its lines can be quoted; `target` names it."""
    parts = [
        _verdict(diagnosis),
        *_causes(diagnosis, folder),
        *_suspects(diagnosis, folder, verbose),
        *_statements(diagnosis, folder, verbose),
        *_patch(diagnosis, verbose),
        *_tried(diagnosis, verbose),
        *(_details(diagnosis, width, ascii) if verbose else ()),
        *_next(diagnosis, target, verbose),
    ]
    return printed(parts, width, colour, ascii)


def verdict(
    diagnosis: Diagnosis, *, width: int = 100, colour: bool = False, ascii: bool = False, folder: Path | None = None
) -> str:
    """The verdict's lines alone, with where each cause and suspect stands."""
    loud = (*diagnosis.causes, *diagnosis.suspects)
    lines = stacked(_verdict(diagnosis), *(Padding(_line(f), (0, 0, 0, 2)) for f in loud))
    return printed([lines], width, colour, ascii)


def page(fault: str, text: str, *, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """A rule's page: set as text on a terminal, as it is written elsewhere."""
    if not colour:
        return f"# {fault}\n\n{text}\n"
    return printed([Text(fault, "bold"), Markdown(text)], width, colour, ascii)


def index(found: dict[str, str]) -> str:
    """The faults that are known, each with the first line of its page."""
    room = max(map(len, found), default=0)
    return "".join(f"{fault:{room}}  {text.partition(chr(10))[0].rstrip('.')}\n" for fault, text in found.items())


def _verdict(diagnosis: Diagnosis) -> RenderableType:
    first, *more = sentences(diagnosis)
    ink = "bold red" if diagnosis.causes else "bold yellow"
    if diagnosis.learns and not diagnosis.causes and not diagnosis.suspects:
        ink = "bold green"
    return stacked(Text(first, ink), *(Text(line, "bold" if i == 0 else "") for i, line in enumerate(more)))


def _causes(diagnosis: Diagnosis, folder: Path | None) -> Iterator[RenderableType]:
    before = None
    for finding in diagnosis.causes:
        quoted = _quoted(finding, folder) if finding.site != before else []
        because = finding.effect.because
        proof = [Text(f"proven: {because}")] if because and because != finding.message else []
        yield stacked(_line(finding), *(Padding(part, (0, 0, 0, 2)) for part in (*quoted, *_readings(finding), *proof)))
        before = finding.site


def _suspects(diagnosis: Diagnosis, folder: Path | None, verbose: bool) -> Iterator[RenderableType]:
    shown = diagnosis.suspects if verbose else diagnosis.suspects[:SHOWN]
    if not shown:
        return
    parts: list[RenderableType] = []
    for finding in shown:
        said = [
            *_quoted(finding, folder),
            *_readings(finding)[:READINGS],
            Text(f"{KNOWN[finding.known]}; its effect is not settled: {finding.effect.because}"),
            Text(f"to settle it: {to_settle(finding, diagnosis)}"),
        ]
        parts.append(stacked(_line(finding), *(Padding(part, (0, 0, 0, 2)) for part in said)))
    left = tuple(f.fault for f in diagnosis.suspects[len(shown) :])
    parts += [Text(f"... and {len(left)} more (--verbose): {listed(left)}")] if left else []
    yield titled("Suspects, not proven", *parts)


def _statements(diagnosis: Diagnosis, folder: Path | None, verbose: bool) -> Iterator[RenderableType]:
    shown = diagnosis.statements if verbose else diagnosis.statements[:STATED]
    parts: list[RenderableType] = []
    for statement in shown:
        line = Text.assemble((f"{place(statement.site)}  " if statement.site else "", "cyan"), statement.what)
        parts.append(stacked(line, *(Padding(part, (0, 0, 0, 2)) for part in _quoted(statement, folder))))
    left = len(diagnosis.statements) - len(shown)
    parts += [Text(f"... and {left} more (--verbose)")] if left else []
    if parts:
        yield titled("Seen in the recorded steps", *parts)


def _line(finding: Finding) -> Text:
    return Text.assemble((" ".join(filter(None, (place(finding.site), finding.fault))), "cyan"), "  ", finding.message)


def _quoted(said: Finding | Statement, folder: Path | None) -> list[Text]:
    line = line_of(said.site, folder)
    return [Text(f"{said.site.line:>6} | {line}", "bold")] if line and said.site is not None else []


def _readings(finding: Finding) -> list[Text]:
    rows = list(dict.fromkeys(finding.evidence))[:READINGS]
    return [Text(f"{e.what}: {number(e.measured)} (expected {e.expected})") for e in rows]


def _patch(diagnosis: Diagnosis, verbose: bool) -> Iterator[RenderableType]:
    patch = diagnosis.patch
    if patch is None:
        return
    shown = patch.cells or patch.diff
    lines = [*([patch.advice] if patch.advice else []), *(shown.rstrip("\n").split("\n") if shown else [])]
    room = len(lines) if verbose else LINES
    title = f"Patch ({patch.trust}, {'proven by its own run' if patch.proven else 'not proven'})"
    more = [Text(f"... {len(lines) - room} more lines (--verbose, or --patch FILE)")] if len(lines) > room else []
    # A group is printed without wrapping: a diff must stay as it is.
    yield Group(Text(title, "bold"), *(Text(line, _ink(line)) for line in lines[:room]), *more)


def _ink(line: str) -> str:
    return next((ink for start, ink in DIFF.items() if line.startswith(start)), "default")


def _tried(diagnosis: Diagnosis, verbose: bool) -> Iterator[RenderableType]:
    ranked, left = tried(diagnosis)
    rows = table(*COLUMNS)
    rows.columns[2].no_wrap = True
    for experiment in ranked if verbose else ranked[:TRIED]:
        rows.add_row(*_row(experiment))
    more = [Text(f"... and {len(ranked) - TRIED} more (--verbose)")] if len(ranked) > TRIED and not verbose else []
    loud = {f.fault for f in (*diagnosis.causes, *diagnosis.suspects)}
    shown = left if verbose else [e for e in left if loud & set(e.request.faults)][:2]
    otherwise = {what(e) for e in ranked}
    missed = dict.fromkeys(
        f"{'failed' if e.run else 'not replayed' if what(e) in otherwise else 'not tried'}: {what(e)}: {e.why}"
        for e in shown
    )
    ran = [contained(diagnosis)] if verbose or any(e.contained == "none" for e in diagnosis.log) else []
    told = [Text(line) for line in (*([SCALE] if ranked else []), *filter(None, ran), *missed)]
    if ranked or told:
        yield titled("What was tried", *([rows] if ranked else []), *more, *told)


def _row(experiment: Experiment) -> tuple[Text, ...]:
    what, by, word, *numbers = row(experiment)
    return Text(what), Text(by), Text(word, WORDS.get(word, "default")), *map(Text, numbers)


def _details(diagnosis: Diagnosis, width: int, ascii: bool) -> Iterator[RenderableType]:
    known = pages()
    for fault in at_heart(diagnosis) if diagnosis.causes else ():
        if reason := paragraph(known.get(fault, ""), "## Why it hurts"):
            yield titled(f"Why {fault} hurts", Text(reason))
    yield from _curve(diagnosis, width, ascii)
    yield from _micro(diagnosis)
    for title, role in (("No longer detected with the patch", "consequence"), ("Hints", "hint")):
        lines = [_line(f) for f in diagnosis.findings if f.role == role]
        if lines:
            yield titled(title, *lines)
    yield from _unexamined(diagnosis)


def _micro(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    asked = [(e, e.request.means) for e in diagnosis.log]
    told = [(m.kind, e.why if e.made else f"not made ({e.why})") for e, m in asked if isinstance(m, Micro)]
    if told:
        yield titled("Micro-experiments on recorded steps", *(Text(f"{kind}: {why}") for kind, why in told))


def _curve(diagnosis: Diagnosis, width: int, ascii: bool) -> Iterator[RenderableType]:
    proof = decisive(diagnosis)
    if proof is None:
        return
    lines = plot.plot(proof.without.skill, proof.treated.skill, proof.steps, width - 2, ascii)
    if lines:
        yield titled("Skill on each batch before its update", *(Text(line, no_wrap=True) for line in lines))


def _unexamined(diagnosis: Diagnosis) -> Iterator[RenderableType]:
    if not diagnosis.steps and not diagnosis.findings:
        return  # the verdict says it: there was nothing to examine
    missed: dict[str, list[str]] = {}
    for outcome in diagnosis.outcomes:
        if outcome.status == "not-applicable":
            missed.setdefault(outcome.reason, []).append(outcome.fault)
    if missed:
        lines = (Text(f"{listed(tuple(faults))}: {reason}") for reason, faults in missed.items())
        yield titled("Rules that do not apply", *lines)
    if lines := untold(diagnosis):
        yield titled("What this report does not tell", *map(Text, lines))


def _next(diagnosis: Diagnosis, target: str, verbose: bool) -> Iterator[RenderableType]:
    steps = list(next_steps(diagnosis, target))
    quiet = sum(f.role in ("hint", "consequence") for f in diagnosis.findings)
    if not verbose and steps and quiet:
        steps.append(f"--verbose shows {quiet} further {'hint' if quiet == 1 else 'hints'} and every experiment")
    if steps:
        yield titled("Next", *map(Text, steps))
