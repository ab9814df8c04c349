"""Bars, histograms and heatmaps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from unstuck.report.html.figures import Bars, Heatmap, Histogram, Spread, number, told
from unstuck.report.html.frame import (
    SMALL,
    WIDE_LETTER,
    WIDTH,
    across,
    colour,
    label,
    margin,
    numbers,
    paper,
    rule,
    shortened,
)
from unstuck.report.html.markup import tag
from unstuck.report.html.scale import Scale

ROW, TOP = 26.0, 12.0
BAND = 66.0
"""Height of one group's histogram in pixels."""
SHADES = 10
BELOW = 48.0
"""Space for the axis below a figure."""


def bars(figure: Bars) -> Iterator[Element | None]:
    """A bar per label with its value; a whisker of one standard deviation."""
    values = [told(v) for v in figure.values]
    aside = margin(figure.labels, most=320.0, letter=WIDE_LETTER)
    ends = [e for v in figure.values for e in _reach(v)]
    log = figure.value.log
    scale = Scale.over(ends, aside, WIDTH - margin(values, most=220.0, letter=WIDE_LETTER), log, zero=True)
    bottom = TOP + ROW * len(figure.labels)
    rows = [_bar(figure, i, scale, aside) for i in range(len(figure.labels))]
    yield paper(bottom + BELOW, figure.title, across(scale, figure.value, TOP, bottom), rows)
    yield numbers(("", figure.value.title), zip(figure.labels, figure.values, strict=True))


def _reach(value: Spread | float) -> tuple[float, float, float]:
    """The end of the bar, and the ends of the whisker."""
    mean, sd = (value.mean, value.sd) if isinstance(value, Spread) else (value, 0.0)
    return mean, mean - sd, mean + sd


def _bar(figure: Bars, row: int, scale: Scale, aside: float) -> Iterator[Element]:
    value, middle = figure.values[row], TOP + ROW * (row + 0.5)
    mean, low, high = (scale.place(v) for v in _reach(value))
    base = scale.start if scale.log else scale.place(0.0)
    name = shortened(figure.labels[row], aside, WIDE_LETTER)
    yield tag("text", tag("title", figure.labels[row]), name, **_left(aside, middle))
    if mean is not None and base is not None and not scale.log:
        left, width = min(base, mean), abs(mean - base)
        yield tag("rect", x=left, y=middle - 8, width=width, height=16, rx=2, class_="bar c1")
    elif mean is not None:  # on a logarithmic scale a bar has no natural start: draw a dot
        yield tag("circle", cx=mean, cy=middle, r=5, class_="dot c1")
    if isinstance(value, Spread) and value.sd and high is not None:
        yield rule(low if low is not None else scale.start, middle, high, middle, "whisker")
    right = max((p for p in (mean, high, base) if p is not None), default=scale.start)
    yield label(right + 8, middle + 4, told(value), class_="tick")


def _left(aside: float, middle: float) -> dict[str, str | float]:
    return {"x": aside - 8, "y": middle + 4, "text_anchor": "end", "class_": "label"}


def histogram(figure: Histogram) -> Iterator[Element | None]:
    """The groups one above the other on a common axis; each is scaled to its highest bin, which is labelled."""
    aside = margin([name for name, _ in figure.groups])
    scale = Scale.over(figure.edges, aside, WIDTH - 24, figure.x.log)
    bottom = TOP + BAND * len(figure.groups)
    bands = [_band(figure, i, scale, aside) for i in range(len(figure.groups))]
    yield paper(bottom + BELOW, figure.title, across(scale, figure.x, TOP, bottom), bands)
    yield counted(figure)


def counted(figure: Histogram) -> Element:
    """The counts as a collapsed table."""
    bins = [f"{number(a)} to {number(b)}" for a, b in zip(figure.edges, figure.edges[1:], strict=False)]
    columns = (figure.x.title, *(f"{name}, {figure.y.title}" for name, _ in figure.groups))
    return numbers(columns, zip(bins, *(counts for _, counts in figure.groups), strict=False))


def small(figure: Histogram) -> Element:
    """The histogram of one group, half as wide as the text, with its name and its highest bin above it."""
    scale = Scale.over(figure.edges, 28.0, SMALL - 28, figure.x.log)
    ((name, counts),) = figure.groups
    most = max((c for c in counts if math.isfinite(c)), default=0.0)
    head = [label(8, 16, shortened(name, SMALL / 2)), label(SMALL - 16, 16, f"up to {number(most)}", "end", "tick")]
    floor = TOP + BAND + 12
    axis = across(scale, figure.x, TOP + 12, floor, 5)
    return paper(floor + BELOW, figure.title, axis, head, _bins(figure, name, counts, scale, floor), width=SMALL)


def _band(figure: Histogram, place: int, scale: Scale, aside: float) -> Iterator[Element]:
    name, counts = figure.groups[place]
    most = max((c for c in counts if math.isfinite(c)), default=0.0)
    floor = TOP + BAND * (place + 1)
    yield tag("text", tag("title", name), shortened(name, aside), **_left(aside, floor - BAND / 2))
    yield label(aside - 8, floor - BAND / 2 + 20, f"up to {number(most)}", "end", "tick")
    yield rule(scale.start, floor, scale.end, floor, "axis")
    yield from _bins(figure, name, counts, scale, floor, colour(place))


def _bins(
    figure: Histogram, name: str, counts: Sequence[float], scale: Scale, floor: float, class_: str = "c1"
) -> Iterator[Element]:
    most = max((c for c in counts if math.isfinite(c)), default=0.0)
    for (left, right), count in zip(zip(figure.edges, figure.edges[1:], strict=False), counts, strict=False):
        a, b = scale.place(left), scale.place(right)
        if a is None or b is None or not count > 0:
            continue
        height = (BAND - 10) * min(count / most, 1.0)
        words = f"{name}, {number(left)} to {number(right)}: {figure.y.label} {number(count)}"
        # A pixel separates bins; bins that are not empty stay visible.
        shape = {"x": a, "y": floor - max(height, 1.0), "width": max(b - a - 1, 0.6), "height": max(height, 1.0)}
        yield tag("rect", tag("title", words), class_=f"bar {class_}", **shape)


def heatmap(figure: Heatmap) -> Iterator[Element | None]:
    """One shaded cell per value, with the value in it: darker is larger; `never` has its own style."""
    aside = margin((*figure.rows, figure.y.title), most=260.0, letter=WIDE_LETTER)
    wide = min(90.0, (WIDTH - aside - 8) / max(1, len(figure.columns)))
    values = [v for row in figure.values for v in row]
    shade = Scale.over(values, 0.0, SHADES - 1.0, figure.value.log)
    top = 44.0
    heads = [
        label(aside + wide * (i + 0.5), top - 8, shortened(c, wide + 10), "middle", "tick")
        for i, c in enumerate(figure.columns)
    ]
    cells = [
        _cell(figure, r, c, aside + wide * c, top + 32 * r, wide, shade)
        for r in range(len(figure.rows))
        for c in range(len(figure.columns))
    ]
    sides = [
        label(aside - 8, top + 32 * r + 20, shortened(name, aside, WIDE_LETTER), "end")
        for r, name in enumerate(figure.rows)
    ]
    titles = [label(aside, 14, figure.x.title), label(aside - 8, top - 8, figure.y.title, "end")]
    yield paper(top + 32 * len(figure.rows) + 8, figure.title, titles, heads, sides, cells)
    never = "; dashed: never" if math.inf in values else ""
    yield tag("p", f"{figure.value.title}: darker is larger{never}", class_="note")
    yield numbers(("", *figure.columns), ((name, *row) for name, row in zip(figure.rows, figure.values, strict=True)))


def _cell(figure: Heatmap, r: int, c: int, x: float, y: float, wide: float, shade: Scale) -> Element:
    value = figure.values[r][c]
    place = shade.place(value)
    kind = "never" if value == math.inf else "empty" if place is None else f"s{round(place)}"
    words = f"{figure.y.label} {figure.rows[r]}, {figure.x.label} {figure.columns[c]}: {number(value)}"
    box = tag("rect", x=x, y=y, width=wide - 2, height=30, rx=2)
    text = label(x + wide / 2 - 1, y + 19, shortened(number(value), wide + 12), "middle", "tick")
    return tag("g", tag("title", words), box, text, class_=f"cell {kind}")
