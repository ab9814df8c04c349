"""The step as a column of calls: the scale of each call's values, and of its weights' gradient, at start and end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from unstuck.diagnosis.looks import Layer
from unstuck.report.html.figures import Axis, number
from unstuck.report.html.frame import SMALL, across, beside, label, legend, numbers, paper, rule, shortened
from unstuck.report.html.markup import tag
from unstuck.report.html.scale import Scale
from unstuck.report.sentences import place

ROW, TOP, ASIDE, GUTTER, BELOW = 22.0, 12.0, 186.0, 34.0, 48.0
"""Pixels: height of a call, space above, for names, for what has no place on the axis, and for the axis below."""
RMS, SLOPE = "root mean square of the values", "norm of the gradient"


def draw(layers: Sequence[Layer]) -> Iterator[Element | None]:
    """Legend, drawing and numbers."""
    learning = [layer for layer in layers if not all(map(math.isnan, layer.gradient))]
    values = _drawn(RMS, layers, [(layer.start, layer.end) for layer in layers])
    slopes = _drawn(SLOPE, learning, [layer.gradient for layer in learning]) if learning else None
    yield legend([("at the initial weights", False), ("at the final weights", False)])
    yield beside(filter(None, (values, slopes)))
    columns = ("line", "call", "result", "RMS at start", "RMS at end", "gradient at start", "gradient at end")
    yield numbers(columns, (_told(layer) for layer in layers))


def _drawn(what: str, layers: Sequence[Layer], pairs: Sequence[tuple[float, float]]) -> Element:
    """A quantity of each call, from the start to the end of the run."""
    bottom = TOP + ROW * len(layers)
    scale = Scale.over([v for pair in pairs for v in pair], ASIDE + GUTTER, SMALL - 30, log=True)
    rows = [_row(what, layer, pair, i, scale) for i, (layer, pair) in enumerate(zip(layers, pairs, strict=True))]
    name = f"Each call of the training step: {what}"
    return paper(bottom + BELOW, name, across(scale, Axis(what), TOP, bottom, 4), rows, width=SMALL)


def _row(what: str, layer: Layer, pair: tuple[float, float], row: int, scale: Scale) -> Iterator[Element]:
    y = TOP + ROW * (row + 0.5)
    name = " ".join(filter(None, (place(layer.site), layer.call)))
    short = name.rpartition("/")[2]  # a long path leaves no room for the line and the call
    yield tag("text", tag("title", name), shortened(short, ASIDE), x=4, y=y + 4, class_="label")
    yield from _pair(name, what, pair, y, scale)


def _pair(name: str, what: str, pair: tuple[float, float], y: float, scale: Scale) -> Iterator[Element]:
    places = [scale.place(v) for v in pair]
    if None not in places:
        yield rule(places[0] or 0.0, y, places[1] or 0.0, y, "axis")
    for i, (x, value) in enumerate(zip(places, pair, strict=True)):
        if x is not None:
            told = f"{name}: {what} {number(value)} {'at the end' if i else 'at the start'}"
            yield tag("circle", tag("title", told), cx=x, cy=y, r=4.5 - i, class_=f"dot c{i + 1}")
        elif value == 0 or math.isinf(value):
            yield label(ASIDE + GUTTER / 2 * i, y + 4, number(value), class_="tick")


def _told(layer: Layer) -> tuple[str | float, ...]:
    shape = "x".join(map(str, layer.shape)) or "one number"
    return place(layer.site), layer.call, shape, layer.start, layer.end, *layer.gradient
