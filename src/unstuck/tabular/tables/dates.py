"""Dates and times as people write them, in days since 1970-01-01."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.kind import DATE

if TYPE_CHECKING:
    import pyarrow as pa

MONTHS = (
    "january jan janvier janv januar januari enero ene gennaio gen janeiro",
    "february feb february fevrier février févr fevr februar februari febrero febbraio fevereiro fev",
    "march mar mars märz maerz mrz maart mrt marzo março marco",
    "april apr avril avr abril abr aprile",
    "may mai mei mayo maggio mag maio",
    "june jun juin juni junio giugno giu junho",
    "july jul juillet juil juli julio luglio lug julho",
    "august aug août aout agosto ago augustus",
    "september sep sept septembre septiembre settembre set setembro",
    "october oct octobre oktober okt octubre ottobre ott outubro out",
    "november nov novembre noviembre novembro",
    "december dec décembre decembre déc dezember dez diciembre dic dicembre dezembro",
)
"""Names of months in English, French, German, Dutch, Spanish, Italian and Portuguese, in lower case."""
NAMES = {name: month for month, line in enumerate(MONTHS, start=1) for name in line.split()}
LONGEST = 64
"""Characters; a longer cell is no date."""
PIVOT = 69
"""Years of two digits from here on are of the last century, as in POSIX."""
DAY = r"(?P<d>\d{1,2})"
MONTH = r"(?P<m>\d{1,2})"
YEAR = r"(?P<y>\d{4})"
SHORT = r"(?P<y>\d{4}|\d{2})"
LETTERS = r"[^\x00-@\[-`{-\x7f]"
"""Letters: a class of RE2's own (\\pL) takes milliseconds to compile, and every pattern is compiled at each use."""
NAME = rf"(?P<n>{LETTERS}+)\.?"
ORDERS = {
    "ymd": rf"{YEAR}[-/.]{MONTH}[-/.]{DAY}",
    "dmy": rf"{DAY}[-/.]\s?{MONTH}[-/.]\s?{SHORT}",
    "mdy": rf"{MONTH}[-/]{DAY}[-/]{SHORT}",
    "yymd": rf"(?P<y>\d{{2}})[-/.]{MONTH}[-/.]{DAY}",
    "dny": rf"{DAY}(?:st|nd|rd|th|\.)?(?:[-/ ]| de )?\s?{NAME},?(?:[-/ ]| de )?\s?{SHORT}",
    "ndy": rf"{NAME}[-/ ]?{DAY}(?:st|nd|rd|th)?(?:,\s?|[-/ ]){SHORT}",
    "ynd": rf"{YEAR}[-/ ]{NAME}[-/ ]{DAY}",
    "ym": rf"{YEAR}[-/]{MONTH}",
    "my": rf"{MONTH}[-/]{YEAR}",
    "ny": rf"{NAME}[-/, ]\s?(?P<y>\d{{4}})|(?P<n2>{LETTERS}+)[-'](?P<y2>\d{{2}})",
    "yn": rf"{YEAR}[-/ ]{NAME}",
    "yq": rf"{YEAR}[-/ ]?[Qq](?P<q>[1-4])|[Qq](?P<q2>[1-4])[-/ ]?(?P<y2>\d{{4}})",
    "yw": r"(?P<y>\d{4})-?[Ww](?P<w>\d{2})(?:-?(?P<k>[1-7]))?",
    "": "",
}
"""Patterns by the order of day, month, year, the name of a month (n), quarter and week; empty: a time alone."""
WORDS = {"ymd": "year-month-day", "dmy": "day/month/year", "mdy": "month/day/year", "yymd": "year-month-day"}
WORDS |= {"dny": "31 December 2019", "ndy": "December 31, 2019", "ynd": "2019 December 31", "ym": "2019-12"}
WORDS |= {"my": "12/2019", "ny": "December 2019", "yn": "2019 December", "yq": "2019-Q4", "yw": "2019-W52", "": "15:45"}
TIME = r"(?P<H>\d{1,2})(?::(?P<M>\d{2})(?::(?P<S>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?\s?(?:(?P<p>[AaPp])\.?[Mm]\.?)?"
ZONE = r"\s?(?P<z>Z|UTC|GMT|[-+]\d{2}(?::?\d{2})?)?(?:\s?\(?[A-Z]{3,4}\)?)?"


@dataclass(frozen=True)
class Dates:
    """How the dates of a column are written; cells with and without a time of day may occur together."""

    order: str = "ymd"

    sort = "dates"
    kind = DATE

    @property
    def plain(self) -> bool:
        """Whether the dates are written as programs write them."""
        return self.order == "ymd"

    def __str__(self) -> str:
        return f"dates, {self.written}" if self.order else "times of day"

    @property
    def written(self) -> str:
        """The order in words."""
        return WORDS.get(self.order, "otherwise")

    def parse(self, text: pa.Array) -> pa.Array:
        """Trimmed text without words for missing values as days since 1970-01-01 (times alone: of a day), float64; null
        where a cell is no such date."""
        import pyarrow as pa

        found = pc.extract_regex(text, self._pattern())
        part = {field.name: pc.struct_field(found, i) for i, field in enumerate(found.type)}
        days, fits = self._days(part)
        clock, valid = _clock(part)
        fits &= valid & _there(found)
        if not self.order:
            fits &= _there(pc.if_else(pc.equal(part["H"], ""), pa.scalar(None, pa.string()), part["H"]))
        return pa.array(np.where(fits, days + clock, np.nan), mask=~fits)

    def _pattern(self) -> str:
        clock = rf"(?:{TIME}{ZONE})"
        if not self.order:
            return rf"^{clock}$"
        weekday = rf"(?:{LETTERS}+\.?,?\s+)?" if self.order not in ("ny",) else ""
        return rf"^{weekday}(?:{ORDERS[self.order]})(?:(?:[Tt]|,?\s+(?:at\s+)?){clock})?$"

    def _days(self, part: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        """Days of the date, and whether it exists."""
        n = len(next(iter(part.values())))
        if not self.order:
            return np.zeros(n), np.ones(n, bool)
        year = _both(part, "y", "y2")
        year = np.where(_digits(part, "y", "y2") == 2, year + np.where(year < PIVOT, 2000, 1900), year)
        if "w" in part:
            return _week(year, _whole(part["w"]), np.maximum(_whole(part["k"], 1), 1))
        month = _whole(part["m"]) if "m" in part else _named(part) if "n" in part else 3 * _both(part, "q", "q2") - 2
        day = _whole(part["d"]) if "d" in part else np.ones(n, np.int64)
        return _civil(year, month, day)


def _there(found: Any) -> np.ndarray:
    return np.asarray(pc.fill_null(pc.is_valid(found), False).to_numpy(zero_copy_only=False), bool)


def _whole(text: Any, missing: int = 0) -> np.ndarray:
    """Digits as whole numbers; `missing` where there are none."""
    import pyarrow as pa

    some = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return pc.fill_null(some.cast(pa.int64()), missing).to_numpy(zero_copy_only=False)


def _both(part: dict[str, Any], one: str, other: str) -> np.ndarray:
    found = _whole(part[one])
    return np.where(found == 0, _whole(part[other]), found) if other in part else found


def _digits(part: dict[str, Any], one: str, other: str) -> np.ndarray:
    lengths = [pc.fill_null(pc.utf8_length(part[n]), 0) for n in (one, other) if n in part]
    return np.maximum.reduce([length.to_numpy(zero_copy_only=False) for length in lengths])


def _named(part: dict[str, Any]) -> np.ndarray:
    """Months from their names, 0 for other words."""
    import pyarrow as pa

    name = part["n"]
    if "n2" in part:
        name = pc.if_else(pc.equal(name, ""), part["n2"], name)
    at = pc.index_in(pc.utf8_lower(name), value_set=pa.array(list(NAMES)))
    return pc.fill_null(pa.array(list(NAMES.values()), pa.int64()).take(at), 0).to_numpy(zero_copy_only=False)


def _civil(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    valid = (month >= 1) & (month <= 12) & (day >= 1) & (year >= 1)
    months = (np.where(valid, year, 1970) - 1970) * 12 + np.where(valid, month, 1) - 1
    first = months.astype("datetime64[M]")
    length = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    valid &= day <= length
    return first.astype("datetime64[D]").astype(np.int64) + np.where(valid, day, 1) - 1.0, valid


def _week(year: np.ndarray, week: np.ndarray, weekday: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ISO weeks: week 1 holds January 4."""
    fourth, valid = _civil(year, np.ones_like(year), np.full_like(year, 4))
    monday = fourth - (fourth + 3) % 7  # 1970-01-01 was a Thursday
    return monday + 7 * (week - 1) + weekday - 1, valid & (week >= 1) & (week <= 53)


def _clock(part: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """The time of day in days, minus the offset of its zone, and whether it exists."""
    import pyarrow as pa

    hour, minute, second = (_whole(part[name]) for name in "HMS")
    fraction = pc.if_else(pc.equal(part["f"], ""), "0", part["f"])
    share = pc.fill_null(pc.binary_join_element_wise("0.", fraction, "").cast(pa.float64()), 0.0)
    half = pc.fill_null(pc.utf8_lower(part["p"]), "").to_numpy(zero_copy_only=False)
    halved = half != ""
    bare = (pc.fill_null(pc.equal(part["M"], ""), True).to_numpy(zero_copy_only=False)).astype(bool)
    some = pc.fill_null(pc.not_equal(part["H"], ""), False).to_numpy(zero_copy_only=False).astype(bool)
    valid = (minute < 60) & (second <= 60) & np.where(halved, (hour >= 1) & (hour <= 12), hour < 24)
    valid &= ~some | ~bare | halved  # a single number is an hour only with AM or PM
    hour = np.where(halved, hour % 12 + 12 * (half == "p"), hour)
    seconds = hour * 3600 + minute * 60 + second + share.to_numpy(zero_copy_only=False) - _offset(part["z"])
    return seconds / 86_400.0, valid


def _offset(zone: Any) -> np.ndarray:
    """Seconds that a zone is ahead of UTC."""
    found = pc.extract_regex(zone, r"^(?P<s>[-+])(?P<h>\d{2}):?(?P<m>\d{2})?$")
    size = 3600 * _whole(pc.struct_field(found, 1)) + 60 * _whole(pc.struct_field(found, 2))
    behind = pc.fill_null(pc.equal(pc.struct_field(found, 0), "-"), False).to_numpy(zero_copy_only=False)
    return np.where(behind, -size, size)


def dates(cells: pa.Array, near: float) -> Iterator[tuple[Dates, float]]:
    """The notations that fit at least a share `near` of distinct cells, and that share, in the order of `ORDERS`."""
    first = cells.slice(0, 20).to_pylist()
    for order in ORDERS:
        pattern = _compiled(order)
        if sum(len(cell) < LONGEST and bool(pattern.match(cell)) for cell in first) < near * len(first):
            continue
        notation = Dates(order)
        if (share := _share(notation, cells)) >= near:
            yield notation, share


@cache
def _compiled(order: str) -> re.Pattern[str]:
    return re.compile(Dates(order)._pattern())


def _share(notation: Dates, cells: pa.Array) -> float:
    return 1 - notation.parse(cells).null_count / max(len(cells), 1)
