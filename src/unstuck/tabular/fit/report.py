"""The report of a fit as text: scores against a constant baseline, errors, loss curve, notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from unstuck.report.layout import printed, stacked, table, titled
from unstuck.tabular.fit.chart import curves, gauge
from unstuck.tabular.fit.figures import SHARES, Figures, Score
from unstuck.tabular.fit.fitted import Course, Fitted, Judged
from unstuck.tabular.fit.progress import clock, named

CLASSES = 12
"""With more classes, only the most confused are shown."""
EACH = 12
"""Maximum number of targets or labels shown."""


def render(fitted: Fitted, *, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """The whole report."""
    text = printed(list(_parts(fitted, width, ascii)), width, colour, False)
    return text.encode("ascii", "replace").decode() if ascii else text


def verdict(fitted: Fitted) -> str:
    """One line: the first score on the strictest rows."""
    if not fitted.judged:
        return "not evaluated: no rows were held out\n"
    score = fitted.judged[-1].figures.scores[0]
    name = f"{score.name} of {score.of}" if score.of else score.name
    return f"{name} {_said(score, score.model)} ({_ends(score)}; baseline: {_said(score, score.constant)})\n"


def _parts(fitted: Fitted, width: int, ascii: bool) -> Iterator[RenderableType]:
    yield _head(fitted)
    for judged in fitted.judged:
        yield _scores(judged)
    if fitted.judged:
        yield from _errors(fitted.judged[-1].figures, ascii)
    yield from _curve(fitted.courses, width, ascii)
    if fitted.notes:
        yield titled("Notes", _points(fitted.notes))
    yield from _next(fitted)


def _head(fitted: Fitted) -> RenderableType:
    what = ", ".join(fitted.targets[:3]) + (f" and {len(fitted.targets) - 3} more" if len(fitted.targets) > 3 else "")
    columns = "column" if len(fitted.inputs) == 1 else "columns"
    distinct = f", {fitted.model.distinct:,} of them distinct" if fitted.duplicates else ""
    rows = f"{fitted.sort}, {fitted.rows:,} rows{distinct}, {len(fitted.inputs):,} {columns}, {clock(fitted.seconds)}"
    return stacked(Text(f"{fitted.data}: {what}", "bold"), Text(rows))


def _points(lines: Sequence[str]) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    for line in lines:
        grid.add_row("-", Text(line))
    return grid


def _scores(judged: Judged) -> RenderableType:
    of_each = any(score.of for score in judged.figures.scores)
    linear = any(score.linear is not None for score in judged.figures.scores)
    heads = ["model", "95 % interval", "baseline", *(["linear"] if linear else [])]
    rows = table("", *(["of"] if of_each else []), *heads)
    shown = [score for score in judged.figures.scores if not score.of]
    each = [score for score in judged.figures.scores if score.of]
    for score in (*shown, *each[:EACH]):
        own = [_said(score, score.model), _ends(score), _said(score, score.constant)]
        cells = [score.name, *([score.of] if of_each else []), *own]
        cells += [_said(score, score.linear)] if score.linear is not None else []
        rows.add_row(*map(Text, cells))
    more = [Text(f"... and {len(each) - EACH} more")] if len(each) > EACH else []
    also = "; linear: a linear model" if linear else ""
    return titled(f"Scores on {judged.figures.rows:,} {judged.of}; baseline: a constant prediction{also}", rows, *more)


def _said(score: Score, value: float) -> str:
    return f"{value:.2%}" if score.name in SHARES else f"{value:.4g}"


def _ends(score: Score) -> str:
    return f"{_said(score, score.low)} to {_said(score, score.high)}"


def _errors(figures: Figures, ascii: bool) -> Iterator[RenderableType]:
    if figures.confusion:
        yield _confusion(figures)
    if figures.bins and figures.calibration_error is not None:
        yield _calibration(figures, ascii)


def _confusion(figures: Figures) -> RenderableType:
    shown = _most_confused(figures)
    rows = table("true \\ predicted", *(figures.labels[j] for j in shown))
    for i in shown:
        rows.add_row(Text(figures.labels[i]), *(Text(f"{figures.confusion[i][j]:,.6g}") for j in shown))
    left = len(figures.labels) - len(shown)
    more = [Text(f"{left} other classes are confused less; --json FILE has all")] if left else []
    return titled("Confusion matrix", rows, *more)


def _most_confused(figures: Figures) -> list[int]:
    errors = [
        sum(row) - row[i] + sum(other[i] for other in figures.confusion) - row[i]
        for i, row in enumerate(figures.confusion)
    ]
    worst = sorted(range(len(errors)), key=lambda i: -errors[i])[:CLASSES]
    return sorted(worst)


def _calibration(figures: Figures, ascii: bool) -> RenderableType:
    rows = table(
        "predicted", "observed", "rows", f"{'=' if ascii else '█'} observed, {'|' if ascii else '│'} predicted"
    )
    for one in figures.bins:
        rows.add_row(f"{one.said:.1%}", f"{one.came:.1%}", f"{one.rows:,.6g}", Text(gauge(one.said, one.came, ascii)))
    of = f" of p({figures.labels[1]})" if len(figures.labels) == 2 else ""
    return titled(f"Calibration{of}: mean error {figures.calibration_error:.2%}", rows)


def _curve(courses: Sequence[Course], width: int, ascii: bool) -> Iterator[RenderableType]:
    if not courses:
        return
    main = max(courses, key=lambda course: course.weight)
    lines = curves([e.train for e in main.epochs], [e.held for e in main.epochs], width - 2, ascii)
    if lines and main.shape is not None:
        share = f"{main.weight:.0%} of the blend; " if len([c for c in courses if c.weight]) > 1 else ""
        trained = f"{len(courses)} stage{'s' if len(courses) > 1 else ''} trained"
        stage = f"{named(main.shape)}, {main.lanes} network{'s' if main.lanes > 1 else ''}; {share}{trained}"
        yield titled(f"Loss by epoch ({stage})", Group(*(Text(line, no_wrap=True) for line in lines)))


def _next(fitted: Fitted) -> Iterator[RenderableType]:
    if fitted.saved is not None:
        yield titled("Next", Text(f"saved to {fitted.saved}: unstuck predict {fitted.saved} DATA"))
    else:
        yield titled("Next", Text("the model was not saved: use --model FILE, then unstuck predict FILE DATA"))
