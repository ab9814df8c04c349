"""The step as a column of calls: the scale of each call's values, and of its weights' gradient, at start and end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from unstuck.diagnosis.looks import Layer
from unstuck.report.html.figures import Axis, number
from unstuck.report.html.frame import WIDTH, across, label, legend, numbers, paper, rule, shortened
from unstuck.report.html.markup import tag
from unstuck.report.html.scale import Scale
from unstuck.report.sentences import place

ROW, TOP, ASIDE, GAP, BELOW = 22.0, 34.0, 270.0, 36.0, 48.0
"""Pixels: height of a call, space above, for names, between both columns, and for the axis below."""


def draw(layers: Sequence[Layer]) -> Iterator[Element | None]:
    """Legend, drawing and numbers."""
    middle = ASIDE + (WIDTH - ASIDE - 24) * 0.55
    bottom = TOP + ROW * len(layers)
    values = _scale([v for layer in layers for v in (layer.start, layer.end)], ASIDE, middle - GAP)
    slopes = _scale([v for layer in layers for v in layer.gradient], middle, WIDTH - 24)
    yield legend([("at the initial weights", False), ("at the final weights", False)])
    yield paper(
        bottom + BELOW,
        "Each call of the training step with the scale of its values and gradients",
        across(values, Axis("root mean square"), TOP, bottom),
        across(slopes, Axis("gradient norm"), TOP, bottom),
        [_row(layer, i, values, slopes) for i, layer in enumerate(layers)],
    )
    columns = ("line", "call", "result", "RMS at start", "RMS at end", "gradient at start", "gradient at end")
    yield numbers(columns, (_told(layer) for layer in layers))


def _scale(values: Sequence[float], start: float, end: float) -> Scale:
    return Scale.over(values, start, end, log=True)


def _row(layer: Layer, row: int, values: Scale, slopes: Scale) -> Iterator[Element]:
    y = TOP + ROW * (row + 0.5)
    name = " ".join(filter(None, (place(layer.site), layer.call)))
    yield tag("text", tag("title", name), shortened(name, ASIDE - 8), x=4, y=y + 4, class_="label")
    yield from _pair(name, "root mean square", (layer.start, layer.end), y, values)
    yield from _pair(name, "gradient norm", layer.gradient, y, slopes)


def _pair(name: str, what: str, pair: tuple[float, float], y: float, scale: Scale) -> Iterator[Element]:
    places = [scale.place(v) for v in pair]
    if None not in places:
        yield rule(places[0] or 0.0, y, places[1] or 0.0, y, "axis")
    for i, (x, value) in enumerate(zip(places, pair, strict=True)):
        if x is not None:
            told = f"{name}: {what} {number(value)} {'at the end' if i else 'at the start'}"
            yield tag("circle", tag("title", told), cx=x, cy=y, r=4.5 - i, class_=f"dot c{i + 1}")
        elif value == 0 or math.isinf(value):
            yield label(scale.start + 2 + 30 * i, y + 4, number(value), class_="tick")


def _told(layer: Layer) -> tuple[str | float, ...]:
    shape = "x".join(map(str, layer.shape)) or "one number"
    return place(layer.site), layer.call, shape, layer.start, layer.end, *layer.gradient
