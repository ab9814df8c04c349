"""A diagnosis as one HTML file: verdict and patch first, then figures of what the tape shows, then every experiment.

The page loads nothing and runs no script. Its words are those of the terminal's report (`unstuck.report.sentences`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import jinja2
from markupsafe import Markup, escape

from unstuck import __version__
from unstuck.diagnosis.looks import Column, Entering, Looks
from unstuck.diagnosis.model import Diagnosis, Finding
from unstuck.report import sentences as words
from unstuck.report.html import blocks, ladder, lines, png
from unstuck.report.html.figures import Axis, Histogram, Lines, Series
from unstuck.report.html.frame import beside, grid
from unstuck.report.html.markup import clean, written
from unstuck.report.html.style import DIAGNOSIS
from unstuck.report.quoting import line_of
from unstuck.rules.catalogue import pages

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""The page may only use its own style and the pictures in it; the browser blocks all network requests."""
STATES = {
    "learns-well": "learns well",
    "below-headroom": "learns below what its data hold",
    "does-not-learn": "does not learn",
    "too-early": "too early to tell",
    "unknown": "cannot be judged by a score",
}
DIFF = {"+++": "place", "---": "place", "@@": "place", "+": "added", "-": "removed"}


def render(diagnosis: Diagnosis, looks: Looks | None = None, *, folder: Path | None = None, target: str = "") -> str:
    """The whole page; write it as UTF-8. `folder` holds the script, so that its lines can be quoted."""
    page = _Page(diagnosis, looks or Looks(), folder, target)
    return _template().render(page=page.context(), style=Markup(DIAGNOSIS), policy=POLICY) + "\n"


@cache
def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("unstuck.report.html", ".")
    settings: dict[str, Any] = {"trim_blocks": True, "lstrip_blocks": True, "finalize": _clean}
    made = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, **settings)
    return made.get_template("diagnosis.html.jinja")


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _drawn(parts: Iterable[Element | None]) -> Markup:
    """Elements as HTML; their texts are escaped when they are written."""
    return Markup("".join(written(part) for part in parts if part is not None))


def _coded(text: str) -> Markup:
    """A text whose parts between backticks are code."""
    parts = (clean(part) for part in text.split("`"))
    return Markup("").join(Markup("<code>{}</code>").format(p) if n % 2 else escape(p) for n, p in enumerate(parts))


@dataclass(frozen=True)
class _Page:
    diagnosis: Diagnosis
    looks: Looks
    folder: Path | None
    target: str

    def context(self) -> dict[str, Any]:
        """What the template reads."""
        report = self.diagnosis
        heart = words.at_heart(report)
        quiet = [f for f in report.findings if f.role in ("hint", "consequence")]
        return {
            "title": f"unstuck: {report.script}",
            "version": __version__,
            "script": report.script,
            "state": "sick" if report.causes else "suspect" if report.suspects else "well" if report.learns else "",
            "state_name": STATES[report.state] if self._examined else "recorded",
            "verdict": words.verdict(report) if self._examined else self._recorded(),
            "causes": [self._finding(f) for f in report.causes if f.fault in heart],
            "alike": [self._finding(f) for f in report.causes if f.fault not in heart],
            "suspects": [self._finding(f) for f in report.suspects],
            "others": [self._finding(f) for f in quiet],
            "statements": [
                {"what": s.what, "place": words.place(s.site), "line": line_of(s.site, self.folder)}
                for s in report.statements
            ],
            "patch": self._patch(),
            "verified": report.verified,
            "next": words.next_steps(report, self.target),
            "figures": [(title, _drawn(body)) for title, body in self._figures()],
            "pictures": list(self._pictures()),
            "tokens": [_tokens(e) for e in self.looks.entering if e.tokens],
            "rates": [f"{name}: {words.number(r[0])}" for name, _, r in self.looks.rates if len(set(r)) == 1],
            "tried": self._tried(),
            "scale": words.SCALE,
            "rules": self._rules(),
            "untold": words.untold(report),
        }

    @property
    def _examined(self) -> bool:
        """Whether any rule was asked; the page of a tape alone has none."""
        return bool(self.diagnosis.outcomes or self.diagnosis.findings or not self.diagnosis.steps)

    def _recorded(self) -> tuple[str, ...]:
        report = self.diagnosis
        first = f"{report.script}: the recording of {report.steps} training steps."
        return (first, "Nothing was examined; `unstuck prove` on the same tape does that.")

    def _finding(self, finding: Finding) -> dict[str, Any]:
        suspect, loud = finding.role == "suspect", finding.role in ("cause", "suspect")
        because = finding.effect.because if finding.effect.because != finding.message else ""
        return {
            "fault": finding.fault,
            "role": finding.role,
            "message": finding.message,
            "place": words.place(finding.site),
            "line": line_of(finding.site, self.folder),
            "do": _coded(words.paragraph(pages().get(finding.fault, ""), "## What to do")) if loud else "",
            "evidence": [(e.what, words.number(e.measured), e.expected) for e in dict.fromkeys(finding.evidence)],
            "because": f"{words.KNOWN[finding.known]}; {finding.effect.word}{f': {because}' if because else ''}",
            "settle": words.to_settle(finding, self.diagnosis) if suspect else "",
        }

    def _patch(self) -> dict[str, Any] | None:
        patch = self.diagnosis.patch
        if patch is None:
            return None
        shown = (patch.cells or patch.diff).rstrip("\n").split("\n")
        kind = lambda line: next((name for start, name in DIFF.items() if line.startswith(start)), "same")
        proven = "proven by its own run" if patch.proven else "not proven"
        told = [(kind(line), line) for line in shown] if any(shown) else []
        return {"trust": patch.trust, "proven": proven, "advice": patch.advice, "lines": told}

    def _tried(self) -> Markup:
        ranked, left = words.tried(self.diagnosis)
        rows = [words.row(e) for e in (*ranked, *left)]
        return _drawn([grid(words.COLUMNS, rows)]) if rows else Markup()

    def _rules(self) -> list[tuple[str, str, str]]:
        """Each fault that is named, with the first paragraph of its page and why it hurts."""
        known, found = pages(), dict.fromkeys(f.fault for f in self.diagnosis.findings)
        return [(fault, *words.short(known.get(fault, ""))) for fault in found]

    def _figures(self) -> Iterator[tuple[str, Iterable[Element | None]]]:
        for entering in self.looks.entering:
            if entering.columns:
                yield _heading(entering), _histograms(entering)
            if entering.rows:
                yield f"First rows of the last recorded batch, {entering.name}", [_rows(entering)]
        if self.looks.layers:
            yield "The training step, call by call", ladder.draw(self.looks.layers)
        yield from ((title, lines.draw(figure)) for title, figure in self._curves())

    def _curves(self) -> Iterator[tuple[str, Lines]]:
        places, losses = self.looks.losses
        if len(places) > 1:
            yield "Loss", _lines("Loss of each recorded backward", "backward", "loss", [("loss", places, losses)])
        if (compared := list(self._compared())) and any(len(x) > 1 for _, x, _ in compared):
            yield "Skill as written and treated", _lines("Skill over the replayed steps", "step", "skill", compared)
        if any(len(set(rates)) > 1 for _, _, rates in self.looks.rates):
            yield "Learning rates", _lines("Learning rate of each step", "step", "learning rate", self.looks.rates)

    def _compared(self) -> Iterator[tuple[str, tuple[float, ...], tuple[float, ...]]]:
        proof = words.decisive(self.diagnosis)
        for name, arm in (("as written", proof.without), ("treated", proof.treated)) if proof is not None else ():
            count = len(arm.skill)
            steps = proof.steps if proof is not None and proof.steps else count
            places = tuple(steps * (i + 1) / count for i in range(count))
            yield name, places, tuple(arm.skill)

    def _pictures(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        for entering in self.looks.entering:
            shown = []
            for i, picture in enumerate(entering.pictures):
                row = entering.rows[i] if i < len(entering.rows) else None
                wanted = f"target {_few(row.wanted)}" if row is not None and row.wanted else ""
                said = f"{wanted} ({words.number(picture.low)} to {words.number(picture.high)})".strip()
                shown.append({"address": png.address(picture), "alt": f"row {i}: {said}", "said": said})
            if shown:
                yield f"{entering.name}, black is its lowest value, white its highest", shown


def _lines(title: str, x: str, y: str, curves: Iterable[tuple[str, tuple[float, ...], tuple[float, ...]]]) -> Lines:
    return Lines(title, Axis(x), Axis(y), tuple(Series(*curve) for curve in curves))


def _heading(entering: Entering) -> str:
    shape = "x".join(map(str, entering.shape))
    place = f" at {words.place(entering.site)}" if entering.site is not None else ""
    return f"What enters the network{place}: {entering.name}, {shape} {entering.dtype}"


def _tokens(entering: Entering) -> dict[str, Any]:
    named = f"The texts are those of {entering.named}" if entering.named else "Nothing was found that names the ids"
    said = f"{named}; the table has {entering.features} rows. The last batch, with predictions before its update."
    return {"title": _heading(entering), "named": said, "rows": entering.tokens}


def _histograms(entering: Entering) -> Iterator[Element | None]:
    """A table of all columns, and each on an axis of its own, so that none is a single bar."""
    columns = entering.columns
    yield grid(
        ("feature", "mean", "standard deviation", "lowest", "highest"),
        [(c.name, c.mean, c.std, c.low, c.high) for c in columns],
    )
    yield beside((blocks.small(figure), blocks.counted(figure)) for figure in map(_histogram, columns))


def _histogram(column: Column) -> Histogram:
    return Histogram(column.name, Axis("value"), column.edges, ((column.name, column.counts),), Axis("rows"))


def _rows(entering: Entering) -> Element:
    more = entering.features > max((len(r.given) for r in entering.rows), default=0)
    columns = ("row", "input" + (" (first numbers)" if more else ""), "target", "prediction before its update")
    rows = [(str(i), _few(r.given), _few(r.wanted), _few(r.answered)) for i, r in enumerate(entering.rows)]
    return grid(columns, rows)


def _few(numbers: tuple[float, ...]) -> str:
    return ", ".join(words.number(v) for v in numbers) or "-"
