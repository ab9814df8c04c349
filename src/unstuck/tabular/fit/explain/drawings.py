"""The figures of an explanation's page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from unstuck.report.html import blocks, lines
from unstuck.report.html.figures import Axis, Bars, Cell, Figure, Heatmap, Lines, Series, Spread, number
from unstuck.report.html.frame import WIDTH, across, grid, paper, upward
from unstuck.report.html.markup import tag
from unstuck.report.html.scale import Scale
from unstuck.tabular.fit.explain.contributions import Contributions
from unstuck.tabular.fit.explain.dependence import Dependence
from unstuck.tabular.fit.explain.growth import Growth
from unstuck.tabular.fit.explain.importance import Importance
from unstuck.tabular.fit.figures import Figures, Score

YEAR = 365.2425
SERIES = 6
"""Most outputs in one drawing."""
CELLS = 8
"""Most columns of a single prediction that are drawn by themselves."""
CLASSES = 12
"""Most classes in a confusion matrix: the most confused ones."""


def _figure(figure: Figure, caption: str = "") -> Element:
    draw = {Lines: lines.draw, Bars: blocks.bars, Heatmap: blocks.heatmap}[type(figure)]
    return tag("figure", tag("figcaption", caption or figure.title), draw(figure))  # type: ignore[arg-type]


def importance(found: Sequence[Importance], rise: str) -> Element:
    """A bar per column."""
    labels = tuple(" + ".join(one.columns) for one in found)
    values = tuple(Spread(one.rises) for one in found)
    return _figure(Bars("Permutation importance", labels, values, Axis(rise)))


def dependence(found: Dependence, outputs: tuple[str, ...]) -> Iterator[Element]:
    """A curve over numbers; a bar per word."""
    if not found.values:
        return
    by = f", by {found.by}" if found.by else ""
    title = f"{found.column}{by}"
    if found.sort == "words":
        for at, output in enumerate(outputs[:SERIES]):
            means = tuple(one[at] for one in found.curves[0].means)
            labels = tuple(str(value) for value in found.values)
            yield _figure(Bars(f"{found.column}: {output}", labels, means, Axis(f"mean {output}")))
        return
    x, axis = tuple(map(float, found.values)), Axis(found.column)
    if found.sort == "date":
        since = math.floor(1970 + x[0] / YEAR)
        x, axis = tuple(1970 + day / YEAR - since for day in x), Axis(found.column, f"years since {since}")
    if len(outputs) > 1:
        curves = [Series(name, x, tuple(one[j] for one in found.curves[0].means)) for j, name in enumerate(outputs)]
    else:
        curves = [
            Series(one.group, x, tuple(mean[0] for mean in one.means), i > 0) for i, one in enumerate(found.curves)
        ]
    name = outputs[0] if len(outputs) == 1 else "prediction"
    yield _figure(Lines(title, axis, Axis(f"mean {name}"), tuple(curves[:SERIES])))


def contribution(found: Contributions) -> Element:
    """A bar per cell, the smaller ones together."""
    top, rest = found.values[:CELLS], found.values[CELLS:]
    labels = [f"{column} = {cell}" for column, cell, _ in top]
    values = [value for _, _, value in top]
    if rest:
        labels.append(f"{len(rest)} other columns")
        values.append(sum(value for _, _, value in rest))
    truth = f", true {found.truth}" if found.truth is not None else ""
    caption = f"Row {found.row:,}: {found.output} {number(found.prediction, 4)}{truth}; mean {number(found.base, 4)}"
    return _figure(Bars("Contributions", tuple(labels), tuple(values), Axis(f"added to {found.output}")), caption)


def scores(found: Sequence[Score]) -> Element:
    """A row per score: the model with its interval, a constant and a linear model."""
    linear = any(one.linear is not None for one in found)
    columns = ("score", "model", "95 % interval", "constant", *(["linear model"] if linear else []))
    return grid(columns, (_score(one, linear) for one in found))


def _score(one: Score, linear: bool) -> list[Cell]:
    name = f"{one.name} of {one.of}" if one.of else one.name
    interval = f"{one.low:.4g} to {one.high:.4g}" if one.low == one.low else None
    values = [_digits(one.model), interval, _digits(one.constant)]
    return [name, *values, *([None if one.linear is None else _digits(one.linear)] if linear else [])]


def _digits(value: float) -> Spread:
    return Spread((value,), digits=4)


def confusion(figures: Figures) -> Iterator[Element]:
    """True classes down, predicted ones across."""
    cells = figures.confusion
    if not cells:
        return
    wrong = [sum(row) + sum(other[i] for other in cells) - 2 * row[i] for i, row in enumerate(cells)]
    shown = sorted(sorted(range(len(cells)), key=lambda i: -wrong[i])[:CLASSES])
    names = tuple(figures.labels[i] for i in shown)
    values = tuple(tuple(cells[i][j] for j in shown) for i in shown)
    yield _figure(Heatmap("Confusion matrix", Axis("predicted"), Axis("true"), names, names, values, Axis("rows")))


def calibration(figures: Figures) -> Iterator[Element]:
    """Observed shares over predicted probabilities."""
    if len(figures.bins) < 2:
        return
    said, came = tuple(one.said for one in figures.bins), tuple(one.came for one in figures.bins)
    of = f"p({figures.labels[1]})" if len(figures.labels) == 2 else "probability"
    curves = (Series("observed", said, came), Series("as predicted", (0.0, 1.0), (0.0, 1.0), dashed=True))
    title = f"Calibration: mean error {figures.calibration_error or 0:.1%}"
    yield _figure(Lines(title, Axis(f"predicted {of}"), Axis("observed share"), curves))


def truth(figures: Figures) -> Iterator[Element]:
    """Predicted numbers over true ones."""
    if not figures.pairs:
        return
    every = [value for pair in figures.pairs for value in pair]
    x, y = Scale.over(every, 70.0, WIDTH - 24), Scale.over(every, 380.0, 30.0).rounded()
    axes = across(x, Axis("true"), 30.0, 380.0) + upward(y, Axis("predicted"), x.start, x.end)
    ends = [(x.place(v), y.place(v)) for v in (min(every), max(every))]
    path = " L".join(f"{a:.1f} {b:.1f}" for a, b in ends)
    line = tag("path", d=f"M{path}", class_="curve c0 dashed")
    dots = (tag("circle", cx=x.place(a), cy=y.place(b), r=3, class_="dot c1") for a, b in figures.pairs)
    yield tag(
        "figure", tag("figcaption", "Truth and prediction"), paper(426.0, "Truth and prediction", axes, line, dots)
    )


def growth(found: Growth) -> Element:
    """The learning curve."""
    curve = Series(f"held-out {found.measure}", tuple(map(float, found.rows)), found.losses)
    return _figure(Lines("Learning curve", Axis("rows", log=True), Axis(f"held-out {found.measure}"), (curve,)))
