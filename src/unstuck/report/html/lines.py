"""Line charts: thinned to the resolution, named at their ends, with marked points if there are few."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from xml.etree.ElementTree import Element

from unstuck.report.html.figures import Lines, Series, number
from unstuck.report.html.frame import (
    WIDTH,
    across,
    colour,
    label,
    legend,
    margin,
    numbers,
    paper,
    rule,
    shortened,
    upward,
)
from unstuck.report.html.markup import tag
from unstuck.report.html.scale import Scale

TOP, BOTTOM, HEIGHT = 30.0, 290.0, 336.0
FEW = 16
"""Up to this many points get a mark with a tooltip."""
NAMED = 6
"""Up to this many curves are named at their ends."""
APART = 14.0
WIDE_LETTER = 9.0
"""Approximate width of a digit in pixels on a narrow screen, where the style makes the texts of a drawing larger."""
SAMPLES = 12

Point = tuple[float, float]


def draw(figure: Lines) -> Iterator[Element | None]:
    """Legend, drawing and numbers."""
    names = [s.name for s in figure.series]
    aside = 20 + margin(names, most=180.0) if 1 < len(names) <= NAMED else 24.0
    places = [v for s in figure.series for v in s.x]
    y = Scale.over((v for s in figure.series for v in s.y), BOTTOM, TOP, figure.y.log).rounded()
    left = max(64.0, 12 + WIDE_LETTER * max((len(text) for _, text in y.ticks()), default=0))
    x = Scale.over(places, left, WIDTH - aside, figure.x.log, whole=all(float(v).is_integer() for v in places))
    runs = [list(_runs(s, x, y)) for s in figure.series]
    curves = [_curve(s, runs[i], i) for i, s in enumerate(figure.series)]
    marks = [_points(figure, s, x, y, i) for i, s in enumerate(figure.series) if len(s.x) <= FEW]
    ends = list(_ends(names, runs, aside)) if aside > 24.0 else []
    yield legend([(s.name, s.dashed) for s in figure.series])
    axes = across(x, figure.x, TOP, BOTTOM) + upward(y, figure.y, x.start, x.end)
    yield paper(HEIGHT, figure.title, axes, curves, marks, tag("g", ends, class_="ends"))
    yield numbers((figure.x.title, *names), _table(figure))


def _runs(series: Series, x: Scale, y: Scale) -> Iterator[list[Point]]:
    """The parts of the curve between gaps."""
    places = [(x.place(a), y.place(b)) for a, b in zip(series.x, series.y, strict=True)]
    for drawn, run in groupby(places, key=lambda p: None not in p):
        if drawn:
            yield list(_thinned([(a, b) for a, b in run if a is not None and b is not None]))


def _thinned(points: Sequence[Point]) -> Iterator[Point]:
    """Keep the first, lowest, highest and last point of each pixel column, in order."""
    for _, group in groupby(points, key=lambda p: int(p[0])):
        column = list(group)
        ends = {0, len(column) - 1}
        heights = [p[1] for p in column]
        kept = ends | {heights.index(min(heights)), heights.index(max(heights))}
        yield from (column[i] for i in sorted(kept))


def _curve(series: Series, runs: list[list[Point]], place: int) -> Element:
    path = " ".join("M" + " L".join(f"{a:.1f} {b:.1f}" for a, b in run) for run in runs)
    dashed = " dashed" if series.dashed else ""
    return tag("path", tag("title", series.name), d=path, class_=f"curve {colour(place)}{dashed}")


def _points(figure: Lines, series: Series, x: Scale, y: Scale, place: int) -> Iterator[Element]:
    for a, b in zip(series.x, series.y, strict=True):
        at = x.place(a), y.place(b)
        if at[0] is not None and at[1] is not None:
            told = f"{series.name}: {figure.x.label} {number(a)}, {figure.y.label} {number(b, 4)}"
            yield tag("circle", tag("title", told), cx=at[0], cy=at[1], r=3, class_=f"dot {colour(place)}")


def _ends(names: Sequence[str], runs: Sequence[list[list[Point]]], room: float) -> Iterator[Element]:
    """Each curve's name next to its end, with a dash in its colour, moved apart if ends overlap."""
    last = sorted((run[-1][-1][1], run[-1][-1][0], place) for place, run in enumerate(runs) if run)
    floor = TOP - APART
    rest = len(last)
    for y, x, place in last:
        rest -= 1
        floor = min(max(y, floor + APART), BOTTOM - APART * rest)
        yield rule(x + 6, floor, x + 16, floor, f"curve {colour(place)}")
        yield label(x + 20, floor + 4, shortened(names[place], room - 20), class_="tick")


def _table(figure: Lines) -> Iterator[tuple[float, ...]]:
    """Every n-th point of the longest curve."""
    longest = max(figure.series, key=lambda s: len(s.x), default=None)
    known = [dict(zip(s.x, s.y, strict=True)) for s in figure.series]
    places = longest.x if longest else ()
    stride = max(1, -(-len(places) // SAMPLES))
    for x in (*places[:-1][::stride], *places[-1:]):
        yield (x, *(curve.get(x, float("nan")) for curve in known))
