"""Render a study as one HTML file: claim, measurement, verdict, table and figures.

The page loads nothing and runs no script. It shows the same data as the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from unstuck.report.html import blocks, lines
from unstuck.report.html.figures import Bars, Figure, Heatmap, Histogram, Lines, Table
from unstuck.report.html.frame import grid
from unstuck.report.html.markup import Child, document, tag
from unstuck.report.html.style import STYLE
from unstuck.tabular.studies.story import SAID, Section, Study, Verdict

MARKS: dict[Verdict, tuple[str, str]] = {
    "holds": ("yes", "\u2713"),
    "partly": ("partly", "\u25d0"),
    "does not hold": ("no", "\u2717"),
}


def render(study: Study) -> str:
    """The complete page; write it as UTF-8."""
    return document(study.title, STYLE, tag("body", tag("main", _story(study))))


def _story(study: Study) -> Iterator[Child]:
    yield tag("h1", study.title)
    yield tag("blockquote", _paragraphs(study.question))
    yield tag("section", tag("h2", "Summary"), _paragraphs(study.answer), class_="short")
    yield tag("nav", tag("ol", (_entry(i, s) for i, s in enumerate(study.sections, 1))), aria_label="Claims")
    yield from (_section(i, s) for i, s in enumerate(study.sections, 1))
    if study.made:
        yield tag("footer", tag("h2", "Method"), tag("ul", (tag("li", line) for line in study.made)))


def _entry(place: int, section: Section) -> Element:
    claim = tag("a", section.claim.partition("\n\n")[0], href=f"#claim-{place}")
    return tag("li", claim, " ", _badge(section.verdict, section.verdict))


def _section(place: int, section: Section) -> Element:
    return tag(
        "section",
        tag("h2", f"{place}. {section.title}"),
        tag("div", tag("h3", "Claim"), _paragraphs(section.claim), class_="claim"),
        tag("div", tag("h3", "Measurement"), _paragraphs(section.measurement)),
        tag("p", _badge(section.verdict, SAID[section.verdict])),
        _table(section.table) if section.table else None,
        map(_figure, section.figures),
        id=f"claim-{place}",
    )


def _badge(verdict: Verdict, words: str) -> Element:
    kind, sign = MARKS[verdict]
    return tag("span", tag("span", sign, aria_hidden="true"), " " + words, class_=f"verdict {kind}")


def _paragraphs(text: str) -> Iterator[Element]:
    yield from (tag("p", paragraph) for paragraph in text.split("\n\n") if paragraph.strip())


def _table(table: Table) -> Element:
    note = tag("p", table.note, class_="note") if table.note else None
    return tag("div", grid(table.columns, table.rows), note, class_="table")


def _figure(figure: Figure) -> Element:
    return tag("figure", tag("figcaption", figure.title), _drawn(figure))


def _drawn(figure: Figure) -> Iterator[Element | None]:
    match figure:
        case Lines():
            return lines.draw(figure)
        case Histogram():
            return blocks.histogram(figure)
        case Heatmap():
            return blocks.heatmap(figure)
        case Bars():
            return blocks.bars(figure)
