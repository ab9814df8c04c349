"""The report for a terminal: the verdict first, then why, what was measured, what was tried, and the patch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from unstuck.diagnosis.model import Finding, Report
from unstuck.report import plot
from unstuck.report.layout import printed, stacked, table, titled
from unstuck.report.sentences import (
    at_heart,
    decisive,
    last,
    listed,
    loud,
    next_steps,
    number,
    place,
)
from unstuck.report.sentences import verdict as sentences
from unstuck.rules.catalogue import pages

LINES = 80
"""A longer diff is cut here; the patch file holds all of it."""
HINTS = 6
READINGS = 8
WORDS = {"heals": "green", "helps": "green", "harms": "red", "no-difference": "default", "not-tried": "default"}
DIFF = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}


def render(
    report: Report,
    *,
    width: int = 100,
    colour: bool = False,
    ascii: bool = False,
    folder: Path | None = None,
    target: str = "",
) -> str:
    """The whole report as text. `folder` holds the script, so that its lines can be quoted; `target` names it."""
    parts = [_verdict(report, folder), *_sections(report, width, ascii, target)]
    return printed(parts, width, colour, ascii)


def verdict(
    report: Report, *, width: int = 100, colour: bool = False, ascii: bool = False, folder: Path | None = None
) -> str:
    """The verdict's lines alone."""
    return printed([_verdict(report, folder)], width, colour, ascii)


def page(fault: str, text: str, *, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """A rule's page: set as text on a terminal, as it is written elsewhere."""
    if not colour:
        return f"# {fault}\n\n{text}\n"
    return printed([Text(fault, "bold"), Markdown(text)], width, colour, ascii)


def index(found: dict[str, str]) -> str:
    """The faults that are known, each with the first line of its page."""
    room = max(map(len, found), default=0)
    return "".join(f"{fault:{room}}  {text.partition(chr(10))[0].rstrip('.')}\n" for fault, text in found.items())


def _sections(report: Report, width: int, ascii: bool, target: str) -> Iterator[RenderableType]:
    yield from _why(report)
    yield from _measured(report)
    yield from _tried(report)
    yield from _curve(report, width, ascii)
    yield from _patch(report)
    yield from _hints(report)
    yield from _unexamined(report)
    yield from _next(report, target)


def _verdict(report: Report, folder: Path | None) -> RenderableType:
    sick = bool(report.causes)
    first, *more = sentences(report)
    ink = "bold red" if sick else "bold green" if report.learns else "bold yellow"
    found = report.causes or loud(report)
    sites = [None, *(f.site for f in found)]
    said = (_said(f, folder if f.site != before else None) for f, before in zip(found, sites, strict=False))
    after = (Padding(Text(text), (1 if sick else 0, 0, 0, 0)) for text in more)
    return stacked(Text(first, ink), *(Padding(part, (1, 0, 0, 2)) for part in said), *after)


def _said(finding: Finding, folder: Path | None) -> RenderableType:
    """A finding with the line that it stands on."""
    head = Text.assemble((place(finding.site) or finding.fault, "cyan"), "  ", finding.message)
    shown = [head, *_quoted(finding, folder)]
    if finding.demonstrated and finding.demonstrated != finding.message:
        shown.append(Text(f"Shown by: {finding.demonstrated}"))
    return stacked(*shown)


def _quoted(finding: Finding, folder: Path | None) -> list[Text]:
    site = finding.site
    if site is None or folder is None:
        return []
    try:
        lines = (folder / site.file).read_text(encoding="utf-8", errors="replace").split("\n")
        return [Text(f"{site.line:>6} | {lines[site.line - 1].strip()}", "bold")]
    except (OSError, IndexError):
        return []


def _why(report: Report) -> Iterator[RenderableType]:
    if report.causes:
        known = pages()
        for fault in at_heart(report):
            if reason := _paragraph(known.get(fault, ""), "## Why it hurts"):
                yield titled(f"Why {fault} hurts", Text(reason))


def _paragraph(text: str, heading: str) -> str:
    """The first paragraph below a heading, on one line."""
    _, _, after = text.partition(heading + "\n")
    return " ".join(after.strip().partition("\n\n")[0].split())


def _measured(report: Report) -> Iterator[RenderableType]:
    rows = [e for f in report.causes or loud(report) for e in f.evidence]
    if rows:
        readings = table("", "measured", "expected")
        for e in list(dict.fromkeys(rows))[:READINGS]:
            readings.add_row(Text(e.what), Text(number(e.measured)), Text(e.expected))
        yield titled("What was measured", readings)


def _tried(report: Report) -> Iterator[RenderableType]:
    done = [p for p in report.proofs if p.verdict != "not-tried"]
    left = [p for p in report.proofs if p.verdict == "not-tried"]
    if not report.proofs:
        return
    rows = table("remedy", "verdict", "skill without", "with", "runs", "steps", "p")
    for proof in done:
        numbers = last(proof.without.skill), last(proof.treated.skill), proof.lanes, proof.steps, proof.p
        word = Text(proof.verdict, WORDS[proof.verdict], no_wrap=True)
        rows.add_row(Text(" + ".join(proof.remedies)), word, *(number(n, 2) for n in numbers))
    missed = dict.fromkeys(f"not tried: {' + '.join(p.remedies)}: {p.why}" for p in left)
    verified = [report.verified[:1].upper() + report.verified[1:]] if report.verified else []
    lines = (Text(line) for line in (*list(missed)[:HINTS], *verified))
    yield titled("What was tried, on the recorded batches", *([rows] if done else []), *lines)


def _curve(report: Report, width: int, ascii: bool) -> Iterator[RenderableType]:
    proof = decisive(report)
    if proof is None:
        return
    lines = plot.plot(proof.without.skill, proof.treated.skill, proof.steps, width - 2, ascii)
    if lines:
        yield titled("Skill on each batch before its update", *(Text(line, no_wrap=True) for line in lines))


def _patch(report: Report) -> Iterator[RenderableType]:
    patch = report.patch
    if patch is None or not patch.diff:
        return
    lines = patch.diff.rstrip("\n").split("\n")
    title = f"The patch ({patch.trust}{', proven' if patch.proven else ', not proven'})"
    more = [Text(f"... {len(lines) - LINES} more lines")] if len(lines) > LINES else []
    # A group is printed without wrapping: a diff must stay as it is.
    yield Group(Text(title, "bold"), *(Text(line, _ink(line)) for line in lines[:LINES]), *more)


def _ink(line: str) -> str:
    return next((ink for start, ink in DIFF.items() if line.startswith(start)), "default")


def _hints(report: Report) -> Iterator[RenderableType]:
    shown = {id(f) for f in (*report.causes, *loud(report))}
    rest = [f for f in report.findings if id(f) not in shown]
    follows = [_brief(f) for f in rest if f.role == "consequence"]
    hints = [_brief(f) for f in rest if f.role != "consequence"]
    for title, lines in (("Follows from it", follows), ("Worth knowing", hints)):
        if lines:
            more = [Text(f"... and {len(lines) - HINTS} more")] if len(lines) > HINTS else []
            yield titled(title, *lines[:HINTS], *more)


def _brief(finding: Finding) -> Text:
    return Text.assemble((" ".join(filter(None, (finding.fault, place(finding.site)))), "cyan"), "  ", finding.message)


def _unexamined(report: Report) -> Iterator[RenderableType]:
    if not report.steps and not report.findings:
        return  # the verdict says it: there was nothing to examine
    missed: dict[str, list[str]] = {}
    for outcome in report.outcomes:
        if outcome.status == "not-applicable":
            missed.setdefault(outcome.reason, []).append(outcome.fault)
    lines = [Text(f"{listed(tuple(faults))}: {reason}") for reason, faults in missed.items()]
    notes = [Text(note) for note in report.notes]
    if lines or notes:
        looked = sum(o.status != "not-applicable" for o in report.outcomes)
        title = f"Not examined ({looked} of {len(report.outcomes)} faults were)" if lines else "Notes"
        yield titled(title, *lines[:HINTS], *notes)


def _next(report: Report, target: str) -> Iterator[RenderableType]:
    if steps := next_steps(report, target):
        yield titled("Next", *(Text(step) for step in steps))
