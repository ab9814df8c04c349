"""An explanation as one HTML file, in the look of a diagnosis. The page loads nothing and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from unstuck import __version__
from unstuck.report.html.frame import grid
from unstuck.report.html.markup import Child, document, tag
from unstuck.report.html.style import DIAGNOSIS
from unstuck.tabular.fit.explain import drawings
from unstuck.tabular.fit.explain.explanation import Explanation
from unstuck.tabular.fit.explain.importance import SLIGHT
from unstuck.tabular.fit.explain.suspects import LISTED
from unstuck.tabular.fit.roles import listed

SHOWN = 20
"""Most columns in a table of columns."""


def render(found: Explanation) -> str:
    """The complete page; write it as UTF-8."""
    body = tag("body", tag("main", _header(found), _sections(found)))
    return document(f"unstuck: {found.title}", DIAGNOSIS, body)


def _header(found: Explanation) -> Element:
    state = "suspect" if found.leaks or any(one.drifted for one in found.drifts) else "well"
    return tag(
        "header",
        tag("p", f"unstuck {__version__} \u00b7 explanation of a fitted model", class_="kicker"),
        tag("h1", found.title),
        tag("p", f"Measured on {found.rows:,} rows: {found.measured}."),
        tag("ul", (tag("li", line) for line in summary(found))),
        class_=f"state {state}",
    )


def summary(found: Explanation) -> Iterator[str]:
    """What is worth knowing first, a sentence each."""
    alone = [one for one in found.importances if len(one.columns) == 1]
    names = [one.columns[0] for one in alone if one.mean > SLIGHT * alone[0].mean]
    if names:
        yield f"The most important column{'s are' if len(names) > 1 else ' is'} {listed(names[:3])}."
    for one in found.leaks:
        yield f"{one.column} alone explains {one.explained:.1%} of the target: check that it is known when predicting."
    if found.growth is not None:
        yield found.growth.verdict
    if found.checked:
        yield f"{len(found.mislabelled):,} of {found.checked:,} targets look wrong."
    if found.drifts:
        gone = [one.column for one in found.drifts if one.drifted]
        yield (
            f"Columns that differ from the training rows: {listed(gone)}."
            if gone
            else ("No column clearly differs from the training rows.")
        )
    yield from found.notes


def _sections(found: Explanation) -> Iterator[Element]:
    yield from _part("Importance", _importance(found))
    yield from _part("How predictions depend on a column", _dependence(found))
    yield from _part("Interactions", _interactions(found))
    yield from _part("Single predictions", _single(found))
    yield from _part("Errors", _errors(found))
    yield from _part("Would more rows help?", _growth(found))
    yield from _part("Rows that look mislabelled", _mislabelled(found))
    yield from _part("Columns that look like the target", _alone(found))
    yield from _part("Drift since the training", _drift(found))


def _part(title: str, parts: Iterable[Child]) -> Iterator[Element]:
    inside = list(parts)
    if inside:
        yield tag("section", tag("h2", title), inside)


def _note(text: str) -> Element:
    return tag("p", text, class_="note")


def _importance(found: Explanation) -> Iterator[Child]:
    if not found.importances:
        return
    rise = f"rise of the {found.measure}" if found.measure else "change of the predictions"
    yield drawings.importance(found.importances[:SHOWN], rise)
    repeats = len(found.importances[0].rises)
    together = (
        "; columns joined by + are correlated and are shuffled together, because alone each stands in for the other"
    )
    joined = together if any(len(one.columns) > 1 for one in found.importances) else ""
    yield _note(
        f"Permutation importance: the {rise} when a column's cells are shuffled among the rows, mean and standard "
        f"deviation of {repeats} shuffles{joined}."
    )


def _dependence(found: Explanation) -> Iterator[Child]:
    for one in found.dependences:
        yield from drawings.dependence(one, found.outputs)
    if found.dependences:
        yield _note(
            "Partial dependence: the mean prediction when the column has this value in all rows. Where a column "
            "interacts with another one, further curves are the means over rows that are low or high there."
        )


def _interactions(found: Explanation) -> Iterator[Child]:
    if not found.interactions:
        return
    rows = [(" and ".join(one.columns), f"{one.strength:.1%}") for one in found.interactions[:8]]
    yield grid(("columns", "share of the spread of the predictions"), rows)
    yield _note(
        "What the predictions depend on two columns beyond a function of each (Friedman and Popescu 2008), for pairs "
        "of the most important columns."
    )


def _single(found: Explanation) -> Iterator[Child]:
    for one in found.contributions:
        yield drawings.contribution(one)
    if found.contributions:
        yield _note(
            "Shapley values by sampling (Strumbelj and Kononenko 2014): what each cell adds to the mean prediction of "
            "up to 50 other rows, averaged over random orders of the columns."
        )


def _errors(found: Explanation) -> Iterator[Child]:
    if found.figures is None:
        return
    yield drawings.scores(found.figures.scores[:SHOWN])
    yield from drawings.confusion(found.figures)
    yield from drawings.calibration(found.figures)
    yield from drawings.truth(found.figures)


def _growth(found: Explanation) -> Iterator[Child]:
    if found.growth is None:
        return
    yield tag("p", found.growth.verdict)
    if len(found.growth.rows) > 1:
        yield drawings.growth(found.growth)
        yield _note(
            f"Models fitted in the same way to parts of the rows, compared on {found.growth.held:,} rows that none of "
            "them was fitted to."
        )


def _mislabelled(found: Explanation) -> Iterator[Child]:
    if not found.checked:
        return
    if not found.mislabelled:
        yield tag("p", f"None of {found.checked:,} rows.")
        return
    rows = [(f"{one.row:,}", one.given, one.predicted) for one in found.mislabelled[:LISTED]]
    yield grid(("row", "given", "predicted"), rows)
    more = len(found.mislabelled) - len(rows)
    yield _note(
        "The target disagrees with a confident prediction by networks that were not trained on the row, the strongest "
        f"first{f', and {more:,} more' if more > 0 else ''}. They may be right: look at them before correcting any."
    )


def _alone(found: Explanation) -> Iterator[Child]:
    if not found.alone:
        return
    cells = ((one.column, f"{max(one.explained, 0.0):.1%}", "yes" if one.leaks else "no") for one in found.alone[:8])
    yield grid(("column", "explains alone", "looks like a leak"), cells)
    yield _note(
        "The share of the target's variance that the column explains alone, in other rows than it was measured on. A "
        "column that explains nearly all of it often holds the target in other words, or is written down after it."
    )


def _drift(found: Explanation) -> Iterator[Child]:
    if not found.drifts:
        return
    rows = [
        (one.column, f"{one.distance:.3f}", "yes" if one.drifted else "no", one.how) for one in found.drifts[:SHOWN]
    ]
    yield grid(("column", "distance", "differs", "how"), rows)
    yield _note(
        "Numbers: the largest difference of the cumulated shares (Kolmogorov and Smirnov). Words: half the summed "
        "differences of their shares. A column differs if the distance is above 0.1 and larger than chance."
    )
