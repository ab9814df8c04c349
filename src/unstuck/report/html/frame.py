"""Parts shared by all figures: axes with ticks, legend, and a table of the numbers for screen readers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element

from unstuck.report.html.figures import Axis, Cell, Spread, each, told
from unstuck.report.html.markup import Child, tag
from unstuck.report.html.scale import Scale

WIDTH = 720.0
SMALL = 440.0
"""Width of a drawing of which two stand side by side, and one where the screen is narrow."""
COLOURS = 8
"""Number of distinct colours; further series are grey and identified by name."""
LETTER = 6.6
"""Approximate width of a letter in pixels."""
WIDE_LETTER = 8.6
"""Likewise on a narrow screen, where the style makes the texts of a drawing larger."""


def paper(height: float, name: str, *marks: Child, width: float = WIDTH) -> Element:
    """The SVG drawing, as wide as the text, and as its column in `beside`."""
    box = f"0 0 {width:g} {height:g}"
    drawing = tag("svg", *marks, viewBox=box, role="img", aria_label=name, class_="small" if width < WIDTH else None)
    return tag("div", drawing, class_="paper")


def beside(drawings: Iterable[Child]) -> Element:
    """Small drawings in two columns; in one where the screen is narrow."""
    return tag("div", (tag("div", drawing) for drawing in drawings), class_="beside")


def colour(place: int) -> str:
    """The CSS class of a series' colour."""
    return f"c{place + 1}" if place < COLOURS else "c0"


def label(x: float, y: float, text: str, anchor: str = "start", class_: str = "label") -> Element:
    """A text with its baseline at y."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, class_=class_)


def rule(x1: float, y1: float, x2: float, y2: float, class_: str = "grid") -> Element:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def across(scale: Scale, axis: Axis, top: float, bottom: float, count: int = 7) -> list[Element]:
    """The horizontal axis with its title below, and grid lines up to `top`."""
    ticks = _apart(list(scale.ticks(count)))
    return [
        *(rule(x, top, x, bottom) for x, _ in ticks),
        rule(scale.start, bottom, scale.end, bottom, "axis"),
        *(label(x, bottom + 16, text, "middle", "tick") for x, text in ticks),
        label((scale.start + scale.end) / 2, bottom + 36, axis.title, "middle"),
    ]


def _apart(ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """The ticks without those whose labels, centred below them, would touch the one before."""
    kept: list[tuple[float, str]] = []
    for x, text in ticks:
        if not kept or x - kept[-1][0] >= LETTER * (len(text) + len(kept[-1][1])) / 2 + LETTER:
            kept.append((x, text))
    return kept


def upward(scale: Scale, axis: Axis, left: float, right: float) -> list[Element]:
    """The vertical axis with its title on top, and grid lines to `right`."""
    ticks = list(scale.ticks())
    return [
        *(rule(left, y, right, y) for y, _ in ticks),
        *(label(left - 8, y + 4, text, "end", "tick") for y, text in ticks),
        label(4, scale.end - 12, axis.title),
    ]


def margin(texts: Iterable[str], least: float = 40.0, most: float = 260.0, letter: float = LETTER) -> float:
    """The space for the longest of some names, in pixels."""
    return min(most, max([least, *(letter * len(text) + 14 for text in texts)]))


def shortened(text: str, room: float, letter: float = LETTER) -> str:
    """A name shortened to the available space."""
    letters = max(4, int((room - 14) / letter + 0.5))
    return text if len(text) <= letters else text[: letters - 1] + "\u2026"


def legend(names: Sequence[tuple[str, bool]]) -> Element | None:
    """Colour and name of each series, and whether it is dashed; nothing for a single series."""
    if len(names) < 2:
        return None
    keys = (tag("span", class_=f"key {colour(i)}{' dashed' if dashed else ''}") for i, (_, dashed) in enumerate(names))
    return tag("ul", (tag("li", key, name) for key, (name, _) in zip(keys, names, strict=True)), class_="legend")


def numbers(columns: Iterable[str], rows: Iterable[Sequence[Cell]]) -> Element:
    """The figure's numbers as a collapsed table."""
    return tag("details", tag("summary", "The figure in numbers"), grid(columns, rows))


def grid(columns: Iterable[str], rows: Iterable[Sequence[Cell]]) -> Element:
    """A table that scrolls if it is wider than the screen."""
    head = tag("thead", tag("tr", (tag("th", name, scope="col") for name in columns)))
    body = tag("tbody", (tag("tr", map(_cell, row)) for row in rows))
    return tag("div", tag("table", head, body), class_="paper")


def _cell(cell: Cell) -> Element:
    """A cell; numbers are not broken, and a spread has its single values in a tooltip."""
    every = f"each: {each(cell.values)}" if isinstance(cell, Spread) and len(cell.values) > 1 else None
    return tag("td", told(cell), class_=None if isinstance(cell, str) else "number", title=every)
