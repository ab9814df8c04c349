"""Render a study on the terminal: claim, measurement, table, figure, verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from unstuck.report.html.figures import Bars, Figure, Heatmap, Histogram, Lines, Series, Spread, number, told
from unstuck.report.html.figures import Table as Data
from unstuck.report.layout import printed, stacked, table, titled
from unstuck.tabular.studies.story import SAID, Section, Study

HEIGHT, COLUMNS = 10, 60
MARKS = "*o+x#%@&"
SHADES = " .:-=+*#%@"
BAR = "="
WORD = 14
"""Shorter words in a table are never broken."""
COLOURS = {"holds": "green", "partly": "yellow", "does not hold": "red"}


def render(study: Study, *, width: int = 100, colour: bool = False, ascii: bool = False) -> str:
    """The study as text."""
    parts = [Text(study.title, "bold"), stacked(Text(study.question)), titled("Summary", Text(study.answer))]
    parts.append(titled("Claims", _contents(study)))
    parts += [_section(i, s, width) for i, s in enumerate(study.sections, 1)]
    if study.made:
        parts.append(titled("Method", *(Text(line) for line in study.made)))
    return printed(parts, width, colour, ascii)


def _contents(study: Study) -> RenderableType:
    rows = table("", "", "")
    for i, section in enumerate(study.sections, 1):
        rows.add_row(f"{i}.", Text(section.claim), Text(section.verdict, COLOURS[section.verdict]))
    return rows


def _section(place: int, section: Section, width: int) -> RenderableType:
    verdict = Text(SAID[section.verdict], f"bold {COLOURS[section.verdict]}")
    body = [Text("Claim: " + section.claim, "italic"), *_paragraphs(section.measurement), verdict]
    if section.table is not None:
        body += [_table(section.table)]
    body += [_figure(figure, min(COLUMNS, width - 30)) for figure in section.figures]
    spaced = [part for b in body for part in (Text(""), b)][1:]
    return titled(f"{place}. {section.title}", *spaced)


def _paragraphs(text: str) -> list[Text]:
    return [Text(p) for p in text.split("\n\n")]


def _table(data: Data) -> RenderableType:
    rows = table(*data.columns)
    for row in data.rows:
        rows.add_row(*(Text(told(cell)) for cell in row))
    for column in rows.columns:
        words = (word for cell in column.cells for word in str(cell).split())
        column.min_width = min(WORD, max(map(len, words), default=1))
    return titled(data.note, rows) if data.note else rows


def _figure(figure: Figure, columns: int) -> RenderableType:
    match figure:
        case Lines():
            lines = _lines(figure, columns)
        case Histogram():
            lines = _histogram(figure, columns)
        case Heatmap():
            lines = _heatmap(figure)
        case Bars():
            lines = _bars(figure, columns)
    return Group(Text(figure.title, "dim"), *(Text(line) for line in lines))


def _lines(figure: Lines, columns: int) -> Iterator[str]:
    across, up = _scale(figure.x.log), _scale(figure.y.log)
    points = [(across(x), up(y)) for s in figure.series for x, y in zip(s.x, s.y, strict=True)]
    points = [p for p in points if all(map(math.isfinite, p))]
    if not points:
        return
    (left, right), (low, high) = ((min(v), max(v)) for v in zip(*points, strict=True))
    rows = [[" "] * columns for _ in range(HEIGHT)]
    for mark, series in zip(MARKS, figure.series, strict=False):
        _draw(rows, "." if series.dashed else mark, series, (across, left, right), (up, low, high))
    back = (lambda v: 10**v) if figure.y.log else (lambda v: v)
    for r, row in enumerate(rows):
        ruler = number(back(high)) if r == 0 else number(back(low)) if r == HEIGHT - 1 else ""
        yield f"{ruler:>9} |{''.join(row)}".rstrip()
    ends = [number(10**v if figure.x.log else v) for v in (left, right)]
    yield f"{'':10}{ends[0]:<{columns // 2}}{ends[1]:>{columns - columns // 2}}   {figure.x.title}"
    yield f"{'':10}{figure.y.title}: " + ", ".join(
        f"{'.' if s.dashed else m} {s.name}" for m, s in zip(MARKS, figure.series, strict=False)
    )


def _scale(log: bool):
    return (lambda v: math.log10(v) if v > 0 else math.nan) if log else float


def _draw(rows: list[list[str]], mark: str, series: Series, across: tuple, up: tuple) -> None:
    for x, y in zip(series.x, series.y, strict=True):
        column, row = _place(x, across, len(rows[0])), _place(y, up, len(rows))
        if column is not None and row is not None:
            rows[len(rows) - 1 - row][column] = mark


def _place(value: float, scale: tuple, cells: int) -> int | None:
    """The cell of a value; None if it cannot be drawn."""
    to, low, high = scale
    at = to(value)
    if not math.isfinite(at):
        return None
    return min(cells - 1, round((at - low) / ((high - low) or 1.0) * (cells - 1)))


def _histogram(figure: Histogram, columns: int) -> Iterator[str]:
    """Each group as one row of shades, which show where the values are."""
    bins = len(figure.edges) - 1
    for name, counts in figure.groups:
        most = max(counts, default=0) or 1.0
        cells = (counts[min(bins - 1, c * bins // columns)] / most for c in range(columns))
        yield f"{name:>18} |" + "".join(SHADES[math.ceil(v * (len(SHADES) - 1))] for v in cells)
    ends = f"{number(figure.edges[0]):<{columns // 2}}{number(figure.edges[-1]):>{columns - columns // 2}}"
    yield f"{'':20}{ends}   {figure.x.title}"


def _heatmap(figure: Heatmap) -> Iterator[str]:
    wide = max(7, *(len(c) + 1 for c in figure.columns))
    side = max(len(r) for r in (*figure.rows, figure.y.title))
    yield f"{figure.y.title:>{side}} " + "".join(f"{c:>{wide}}" for c in figure.columns) + f"   {figure.x.title}"
    for name, row in zip(figure.rows, figure.values, strict=True):
        yield f"{name:>{side}} " + "".join(f"{number(v):>{wide}}" for v in row)
    yield f"{'':{side}} {figure.value.title}"


def _bars(figure: Bars, columns: int) -> Iterator[str]:
    means = [v.mean if isinstance(v, Spread) else v for v in figure.values]
    most = max((m for m in means if math.isfinite(m)), default=0) or 1.0
    side = max(map(len, figure.labels), default=0)
    for label, value, mean in zip(figure.labels, figure.values, means, strict=True):
        bar = BAR * round(max(0.0, mean) / most * (columns - 20)) if math.isfinite(mean) else ""
        yield f"{label:>{side}} |{bar} {told(value)}"
    yield f"{'':{side}}  {figure.value.title}"
