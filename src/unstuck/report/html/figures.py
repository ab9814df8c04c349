"""Tables and figures as plain data: what a page or a terminal draws. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Spread:
    """One quantity over seeds. `inf`: the run never got there; `nan`: not measured."""

    values: tuple[float, ...]
    digits: int = 3
    """Significant digits when shown."""

    @property
    def known(self) -> tuple[float, ...]:
        """The finite values."""
        return tuple(v for v in self.values if math.isfinite(v))

    @property
    def mean(self) -> float:
        """The mean of the finite values; nan if there are none."""
        return statistics.fmean(self.known) if self.known else math.nan

    @property
    def sd(self) -> float:
        """The sample standard deviation of the finite values; 0 for one value."""
        return statistics.stdev(self.known) if len(self.known) > 1 else 0.0

    @property
    def median(self) -> float:
        """The median, counting "never" as larger than any number: inf if most seeds never get there."""
        return statistics.median_high(self.values) if self.values else math.nan

    @property
    def low(self) -> float:
        """The smallest value."""
        return min(self.values, default=math.nan)

    @property
    def high(self) -> float:
        """The largest value (inf if one seed never gets there)."""
        return max(self.values, default=math.nan)

    @property
    def reached(self) -> int:
        """The number of seeds that got there."""
        return len(self.known)


Cell = str | float | int | Spread | None


@dataclass(frozen=True)
class Table:
    """Rows of cells under `columns`; a `Spread` is shown as mean (sd). `note` is a caption."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis: its quantity and unit; `log` for a logarithmic scale."""

    label: str
    unit: str = ""
    log: bool = False

    @property
    def title(self) -> str:
        """`rate (1/step)`."""
        return f"{self.label} ({self.unit})" if self.unit else self.label


@dataclass(frozen=True)
class Series:
    """One named curve; `y` may contain nan for gaps. `dashed` marks bounds and theory."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    dashed: bool = False


@dataclass(frozen=True)
class Lines:
    """Curves over a common axis."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Histogram:
    """Counts (or shares) per bin for one or more named groups: each (name, counts), one count fewer than `edges`."""

    title: str
    x: Axis
    edges: tuple[float, ...]
    groups: tuple[tuple[str, tuple[float, ...]], ...]
    y: Axis = field(default_factory=lambda: Axis("share"))


@dataclass(frozen=True)
class Heatmap:
    """A value per (row, column): `values[r][c]` belongs to `rows[r]`, `columns[c]`; inf is "never", nan is not run."""

    title: str
    x: Axis
    y: Axis
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    value: Axis


@dataclass(frozen=True)
class Bars:
    """One bar per label; for a `Spread` its mean with a whisker of one sd."""

    title: str
    labels: tuple[str, ...]
    values: tuple[Spread | float, ...]
    value: Axis


Figure = Lines | Histogram | Heatmap | Bars


def told(cell: Cell) -> str:
    """A cell as text, the same everywhere: `-` for unknown, `never` for inf, `mean (sd)` for a spread."""
    if isinstance(cell, Spread):
        return _told_spread(cell)
    return number(cell) if isinstance(cell, float | int) else cell or "-"


def _told_spread(spread: Spread) -> str:
    if not spread.known:
        return "never" if math.inf in spread.values else "-"
    words = number(spread.mean, spread.digits)
    if len(spread.values) > 1:
        words += f" ({number(spread.sd, 2)})"
    missing = len(spread.values) - len(spread.known)
    return f"{words}, {missing} of {len(spread.values)} never" if missing else words


def number(value: float, digits: int = 3) -> str:
    """A number with `digits` significant digits; powers of ten only for very large and very small ones."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never" if value > 0 else "-inf"
    if float(value).is_integer() and abs(value) < 1e6:
        return str(int(value))
    words = f"{value:.{digits}g}"
    return str(round(value)) if "e+" in words and abs(value) < 1e6 else words


def each(values: Sequence[float]) -> str:
    """All seeds' values in order: `190 620 never`."""
    return " ".join(number(v) for v in values)
