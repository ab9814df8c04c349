"""Numbers as people write them: a decimal mark, separators between thousands, a unit, a percent sign, 5k and 3M."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.kind import NUMBER

if TYPE_CHECKING:
    import pyarrow as pa

MARKS = {".": ",' _\u00a0\u202f\u2019", ",": ".' _\u00a0\u202f\u2019"}
"""Separators between thousands, for each decimal mark."""
SCALES = {"k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "mio": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "t": 1e12}
SCALES |= {"billion": 1e9, "trillion": 1e12}
"""Factors by the word behind a number, in lower case."""
ALONE = ("m", "b", "t")
"""Factors that are more likely a unit (metre, byte, tonne) if no other factor occurs."""
RARE = 200
"""One cell in so many may have another unit."""
LONGEST = 64
"""Characters; a longer cell is no number."""
CELL = re.compile(
    r"(?P<open>\()?(?P<sign>[-+\u2212])?\s*(?P<before>[^\d\s.,()+\u2212'-]{1,4}|[A-Z]{3}(?=[\s\d]))?\s*"
    r"(?P<inner>[-+\u2212])?\s*(?P<digits>(?:\d[\d.,' _\u00a0\u202f\u2019]*)?\d[.,]?|[.,]\d+)(?P<power>[eE][-+]?\d+)?"
    r"\s*(?P<after>[^\d()]*?)\s*(?P<close>\))?"
)
UNIT = re.compile(r"[^\W\d_]{1,4}[./]?|[^\w\s]{1,3}|[^\W\d_]{1,10}|[^\W\d_]{1,4}[²³]?/[^\W\d_]{1,4}[²³]?|°\s?[CFK]?")

PLAIN = r"^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$|^[-+]?(?i:inf|infinity)$"


def matched(cell: str) -> re.Match[str] | None:
    """The parts of a number, or None if a cell is none."""
    return CELL.fullmatch(cell) if len(cell) <= LONGEST else None


@dataclass(frozen=True)
class Amounts:
    """How the numbers of a column are written."""

    decimal: str = "."
    grouping: str = ""
    """The separator between thousands; empty: none."""
    unit: str = ""
    """A currency or a unit, before or after the number; a cell may lack it."""
    percent: bool = False
    """Whether every cell is a percentage; 12.5 % is read as 0.125."""
    scaled: bool = False
    """Whether a cell may end with a factor: 5k, 3M."""

    sort = "amounts"
    kind = NUMBER

    written = ""

    @property
    def plain(self) -> bool:
        """Whether the numbers are written as programs write them."""
        return self == Amounts()

    def __str__(self) -> str:
        parts = [f"decimal {self.decimal}"]
        parts += [f"thousands {self.grouping!r}"] if self.grouping else []
        parts += [f"unit {self.unit}"] if self.unit else []
        parts += ["percentages (12.5 % is 0.125)"] if self.percent else []
        parts += ["factors (5k is 5000)"] if self.scaled else []
        return "numbers: " + ", ".join(parts)

    def parse(self, text: pa.Array) -> pa.Array:
        """Trimmed text without words for missing values as float64; null where a cell is no such number."""
        import pyarrow as pa

        if self.plain:
            return _cast(pc.replace_substring(text, "\u2212", "-"), PLAIN)
        found = pc.extract_regex(text, self._pattern())
        part = {field.name: pc.struct_field(found, i) for i, field in enumerate(found.type)}
        digits = part["digits"]
        for mark in (self.grouping and _alike(self.grouping)) or "":
            digits = pc.replace_substring(digits, mark, "")
        if self.decimal == ",":
            digits = pc.replace_substring(digits, ",", ".")
        number = pc.binary_join_element_wise(digits, part["power"], "").cast(pa.float64())
        negative = pc.or_(_minus(part["sign"]), pc.or_(_minus(part["inner"]), pc.equal(part["open"], "(")))
        number = pc.if_else(negative, pc.negate(number), number)
        if self.percent:
            number = pc.divide(number, 100.0)
        return pc.multiply(number, _factors(part["scale"])) if self.scaled else number

    def _pattern(self) -> str:
        d = re.escape(self.decimal)
        whole = r"\d+"
        if self.grouping:
            marks = re.escape(_alike(self.grouping))
            whole = rf"(?:\d+|\d{{1,3}}(?:[{marks}]\d{{3}})+|\d{{1,2}}(?:[{marks}]\d{{2}})+[{marks}]\d{{3}})"
        digits = rf"(?P<digits>{whole}(?:{d}\d*)?|{d}\d+)"
        unit = rf"(?:{re.escape(self.unit)})?" if self.unit else ""
        scale = "(?P<scale>(?i:" + "|".join(sorted(SCALES, key=len, reverse=True)) + "))?" if self.scaled else ""
        sign = "[-+\u2212]"
        return (
            rf"^(?P<open>\()?(?P<sign>{sign})?\s*{unit}\s*(?P<inner>{sign})?\s*{digits}(?P<power>(?:[eE][-+]?\d+)?)"
            rf"\s*{scale}\s*{unit}{'%' if self.percent else ''}\)?$"
        )


def _alike(grouping: str) -> str:
    """All forms of a separator: blanks and apostrophes have several."""
    return next((forms for forms in (" \u00a0\u202f", "'\u2019") if grouping in forms), grouping)


def _minus(sign: pa.Array) -> pa.Array:
    return pc.or_(pc.equal(sign, "-"), pc.equal(sign, "\u2212"))


def _factors(scale: pa.Array) -> pa.Array:
    import pyarrow as pa

    known = pa.array([*SCALES, ""])
    at = pc.index_in(pc.utf8_lower(scale), value_set=known)
    return pa.array([*SCALES.values(), 1.0]).take(at)


def _cast(text: pa.Array, pattern: str) -> pa.Array:
    import pyarrow as pa

    fits = pc.match_substring_regex(text, pattern)
    return pc.if_else(fits, text, pa.scalar(None, pa.string())).cast(pa.float64())


def amounts(cells: Mapping[str, int], decimal: str) -> Amounts | None:
    """The notation that most cells (with their numbers of rows) suggest, `decimal` where they leave the mark open; None
    if most are no numbers."""
    found = [(match, n) for cell, n in cells.items() if (match := matched(cell)) and _plausible(match)]
    if 2 * len(found) < len(cells) or not found:
        return None
    mark, grouping = _marks([match["digits"] for match, _ in found], decimal)
    words = Counter[tuple[str, str]]()
    for match, n in found:
        words[_word(match)] += n
    scaled, unit, percent = _behind(words)
    return Amounts(mark, grouping, unit, percent, scaled)


def _plausible(match: re.Match[str]) -> bool:
    before, after = match["before"] or "", match["after"] or ""
    if before and not (_symbol(before) or re.fullmatch("[A-Z]{3}", before)):
        return False  # a code, such as A12
    return not after or after == "%" or bool(UNIT.fullmatch(after)) or bool(_split(after)[0])


def _symbol(text: str) -> bool:
    return any(unicodedata.category(c) == "Sc" for c in text)


def _word(match: re.Match[str]) -> tuple[str, str]:
    """(factor, unit) of a cell."""
    factor, unit = _split(match["after"] or "")
    return factor, match["before"] or unit


def _split(after: str) -> tuple[str, str]:
    word = re.match(r"[A-Za-z]+", after)
    if word and word[0].lower() in SCALES:
        return word[0], after[word.end() :].strip()
    return "", after


def _behind(words: Counter[tuple[str, str]]) -> tuple[bool, str, bool]:
    """Whether there are factors, the unit, and whether the numbers are percentages."""
    factors = {factor for factor, _ in words if factor}
    sure = any(factor.lower() not in ALONE for factor in factors)
    others = {unit for _, unit in words if unit}
    if factors and not sure and not (any(map(_symbol, others)) or (len(factors) > 1 and not others)):
        # Letters that may be units: 5m, 7m are metres; with 5a or 5 beside them, they are codes or ambiguous.
        mixed = len(factors) > 1 or others or any(not factor for factor, _ in words)
        return False, "" if mixed else next(iter(factors)), False
    units = Counter[str]()
    for (_, unit), count in words.items():
        units[unit] += count
    unit = next((u for u, _ in units.most_common() if u), "")
    if not _symbol(unit) and unit != "%" and not _shared(units, unit):
        unit = ""
    if unit == "%":
        return bool(factors), "", True
    return bool(factors), unit, False


def _shared(units: Counter[str], unit: str) -> bool:
    """Whether most cells have a unit, and nearly all of these the same: 10a, 10b and 1st, 2nd are codes."""
    there = units.total() - units[""]
    return 2 * units[unit] >= units.total() and (there - units[unit]) * RARE <= there


def _marks(digits: list[str], usual: str) -> tuple[str, str]:
    """The decimal mark and the separator between thousands that fit most cells; `usual` on a tie."""
    best: tuple[int, bool, int] | None = None
    chosen = (usual, "")
    for decimal in (usual, "," if usual == "." else "."):
        for grouping in ("", *MARKS[decimal]):
            if grouping and not any(grouping in cell for cell in digits):
                continue
            pattern = re.compile(Amounts(decimal, grouping)._pattern())
            fits = sum(bool(pattern.match(cell)) for cell in digits)
            # A tie: the usual mark, then no separator: 1,234 with a decimal comma is a little more than one.
            score = (fits, decimal == usual, -bool(grouping))
            if best is None or score > best:
                best, chosen = score, (decimal, grouping)
    return chosen
