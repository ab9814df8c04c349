"""The map: how fast raw inputs are learned for different centres, spreads, rates, widths and optimizers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from unstuck.report.html.figures import Axis, Heatmap, Spread
from unstuck.tabular.studies.heart_rate.courses import Trained, train_all
from unstuck.tabular.studies.heart_rate.data import Form, Source
from unstuck.tabular.studies.heart_rate.variants import SHORT, WIDTH, Variant
from unstuck.tabular.studies.nets import Net, Pace

CENTRES = (0.0, 3.0, 10.0, 30.0, 92.0, 300.0)
SPREADS = (1.0, 3.0, 10.0, 30.0)
RATES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
SGD_RATES = (0.001, 0.01, 0.1, 1.0)
WIDTHS = (2, 5, 10, 20, 50)
COLUMNS = (1, 2, 5, 10, 30)
SEEDS = 3
"""Seeds per cell: the map shows regions, not exact numbers."""


def place(
    *, centre: float = 92.0, spread: float = 10.0, rate: float = 0.01, width: int = WIDTH, sgd: bool = False,
    form: Form = "raw", columns: int = 1
) -> Variant:  # fmt: skip
    """A cell: heart-rate-like data with the threshold a tenth of its spread below the centre, rounded to that unit."""
    source = Source("heart rate", centre, spread, centre - spread / 10, spread / 10, columns)
    return Variant("map", source, form, Net(columns, width, optimizer="sgd" if sgd else "adam"), Pace(rate), SHORT)


@dataclass(frozen=True)
class Chart:
    """All cells of the map: median epochs to 99 % by variant (inf: never)."""

    trained: Trained

    def epochs(self, cell: Variant) -> float:
        """The median over the seeds."""
        return Spread(tuple(c.epochs_to_good for c in self.trained.courses[cell])).median

    def figures(self) -> tuple[Heatmap, ...]:
        """The cross-sections of the map."""
        return tuple(self._figure(*cut) for cut in cuts())

    def _figure(self, title: str, x: Axis, y: Axis, columns: list[str], rows: list[str], cells: Cells) -> Heatmap:
        values = tuple(tuple(self.epochs(cell) for cell in row) for row in cells)
        return Heatmap(title, x, y, tuple(columns), tuple(rows), values, Axis("median epochs to 99 %", log=True))


Cells = list[list[Variant]]


def cuts() -> Iterator[tuple[str, Axis, Axis, list[str], list[str], Cells]]:
    """Each cross-section: title, axes, names of columns and rows, and the cells row by row."""
    centre, rate = Axis("centre of the data"), Axis("rate")
    named = [f"{c:g}" for c in CENTRES]
    spreads = [[place(centre=c, spread=s) for c in CENTRES] for s in SPREADS]
    yield "Adam, rate 0.01", centre, Axis("spread"), named, [f"{s:g}" for s in SPREADS], spreads
    adam = [[place(centre=c, rate=r) for c in CENTRES] for r in RATES]
    yield "Adam, spread 10", centre, rate, named, [f"{r:g}" for r in RATES], adam
    sgd = [[place(centre=c, rate=r, sgd=True) for c in CENTRES] for r in SGD_RATES]
    yield "plain SGD, spread 10", centre, rate, named, [f"{r:g}" for r in SGD_RATES], sgd
    widths = [[place(rate=r, width=w) for w in WIDTHS] for r in RATES]
    yield (
        "Adam, centre 92, spread 10",
        Axis("hidden units"),
        rate,
        [str(w) for w in WIDTHS],
        [f"{r:g}" for r in RATES],
        widths,
    )
    columns = [[place(centre=c, columns=n) for c in CENTRES] for n in COLUMNS]
    yield "Adam, rate 0.01, spread 10", centre, Axis("input columns"), named, [str(n) for n in COLUMNS], columns
    yield "standardised, Adam (any centre, any spread)", Axis("hidden units"), rate, *_standardised()


def _standardised() -> tuple[list[str], list[str], Cells]:
    cells = [[place(rate=r, width=w, form="z-score") for w in WIDTHS] for r in RATES]
    return [str(w) for w in WIDTHS], [f"{r:g}" for r in RATES], cells


def draw_map(limit: int, seeds: int, progress: Callable[[float], None]) -> Chart:
    """Train every cell; lanes that have reached 99 % are removed."""
    cells = dict.fromkeys(cell for *_, rows in cuts() for row in rows for cell in row)
    return Chart(train_all(list(cells), min(SEEDS, seeds), min(SHORT, limit), progress, settled=500))
