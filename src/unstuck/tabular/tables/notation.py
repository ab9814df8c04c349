"""Decide how the values of a text column are written: numbers, dates, truth values, or words."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.amounts import Amounts, amounts
from unstuck.tabular.tables.dates import WORDS, Dates, dates
from unstuck.tabular.tables.kind import BOOLEAN, NUMBER, TEXT, Kind
from unstuck.tabular.tables.missing import MISSING, without
from unstuck.tabular.tables.refusal import shown

if TYPE_CHECKING:
    import pyarrow as pa

Notation = Amounts | Dates
MOSTLY = 0.9
"""A column with at least this share of numbers or dates is one of them with errors, not text."""
NEARLY = 0.5
"""With at least this share, a note says that the column nearly is one."""
TRIED = 2000
"""Distinct values on which the notations are tried."""
EXACT = 2**53
"""Whole numbers up to this size are exact in float64."""
DIGITAL = r"\d"
TRUTH = ("true", "True", "TRUE", "false", "False", "FALSE")
SLASHED = ("dmy", "mdy")


@dataclass(frozen=True)
class Hints:
    """What is known before a column is looked at."""

    decimal: str = "."
    """The decimal mark where a column leaves it open."""
    order: str | None = None
    """dmy or mdy, where dates leave it open; None: no preference."""
    missing: tuple[str, ...] = ()
    """Words for a missing value beside `MISSING`."""
    declared: bool = False
    """Whether the source declares its types, so that plain numbers in a text column are meant as words."""


@dataclass(frozen=True)
class Found:
    """The kind of a text column; `rivals`: other notations that fit as well; `note`: what the user should know."""

    kind: Kind
    notation: Notation | None = None
    rivals: tuple[Notation, ...] = ()
    note: str = ""
    empty: bool = False


def decide(column: pa.Array, hints: Hints) -> Found:
    """The kind and notation of a text column."""
    text = without(column, (*MISSING, *hints.missing))
    gaps = text.null_count > column.null_count
    text = text.drop_null()
    if not len(text):
        return Found(TEXT, empty=True)
    if pc.all(pc.is_in(text, value_set=_array(TRUTH))).as_py():
        return Found(BOOLEAN)
    counts = text.value_counts().slice(0, TRIED)
    some = counts.field(0)
    if 2 * pc.sum(pc.match_substring_regex(some.slice(0, 50), DIGITAL)).as_py() < min(len(some), 50):
        return Found(TEXT)
    tried = sorted(_tried(counts, text, hints), key=lambda found: -found[1])  # stable: the first of equals
    if not tried:
        return Found(TEXT)
    return _chosen(tried, text, gaps, hints)


def _array(words: Collection[str]) -> pa.Array:
    import pyarrow as pa

    return pa.array(list(words), pa.string())


def _tried(counts: pa.StructArray, text: pa.Array, hints: Hints) -> Iterator[tuple[Notation, float]]:
    """Notations, and the share of the values that each fits."""
    some = counts.field(0)
    for notation, _ in dates(some, NEARLY):
        yield notation, share(notation, text)
    guess = amounts(dict(zip(some.to_pylist(), counts.field(1).to_pylist(), strict=True)), hints.decimal)
    if guess is not None:
        yield guess, share(guess, text)


def share(notation: Notation, text: pa.Array) -> float:
    """The share of values (trimmed, none missing) that a notation fits."""
    return 1 - notation.parse(text).null_count / max(len(text), 1)


def _chosen(tried: list[tuple[Notation, float]], text: pa.Array, gaps: bool, hints: Hints) -> Found:
    best, fits = _shortest([notation for notation, of in tried if of == tried[0][1]], text), tried[0][1]
    rivals = tuple(notation for notation, of in tried if of == fits and notation != best)
    if isinstance(best, Amounts) and (note := _codes(best, text)) is not None:
        return Found(TEXT, note=note)
    if isinstance(best, Amounts) and best.plain and hints.declared and fits == 1 and not gaps:
        return Found(TEXT)
    if fits >= MOSTLY:
        return _of_order(Found(best.kind, best, rivals), hints)
    if fits < NEARLY:
        return Found(TEXT)
    odd = text.filter(pc.is_null(best.parse(text)))[0].as_py()
    orders = {n.order for n, _ in tried if isinstance(n, Dates)} & set(SLASHED)
    if len(orders) == 2:
        return Found(TEXT, note="some dates have the day first and others the month first: read as text")
    what = "numbers" if best.kind == NUMBER else "dates"
    return Found(TEXT, note=f"{fits:.0%} of the values are {what}, but not {shown(odd)}: read as text")


def _shortest(equal: list[Notation], text: pa.Array) -> Notation:
    """Of notations that fit equally well, the first, or that with the shorter span if the first number may be the year:
    days taken for years would be far apart."""
    if not any(isinstance(n, Dates) and n.order == "yymd" for n in equal) or len(equal) == 1:
        return equal[0]
    spans = {n: pc.min_max(n.parse(text)).as_py() for n in equal}
    return min(equal, key=lambda n: spans[n]["max"] - spans[n]["min"])


def _codes(notation: Amounts, text: pa.Array) -> str | None:
    """Why whole numbers are identifiers; None if they are numbers."""
    if notation.grouping or notation.scaled or notation.percent or notation.unit:
        return None
    digits = text.filter(pc.match_substring_regex(text, r"^[-+]?\d+$"))
    if len(digits) < len(text) * MOSTLY:
        return None
    if pc.any(pc.match_substring_regex(digits, r"^0\d")).as_py():
        return "numbers with leading zeros are codes: read as text"
    largest = pc.max(pc.abs(digits.cast("float64"))).as_py()
    return "whole numbers beyond 2^53 are identifiers: read as text" if largest > EXACT else None


def _of_order(found: Found, hints: Hints) -> Found:
    """With the preferred order of day and month, if both fit."""
    orders = {n.order: n for n in (found.notation, *found.rivals) if isinstance(n, Dates)}
    if hints.order not in orders or found.notation == orders[hints.order]:
        return found
    others = tuple(n for n in (found.notation, *found.rivals) if n != orders[hints.order] and n is not None)
    return Found(found.kind, orders[hints.order], others)


def settled(found: Mapping[str, Found], hints: Hints) -> dict[str, Found]:
    """The columns of one table, where dates that leave the order of day and month open follow those that do not."""
    known = {f.notation.order for f in found.values() if isinstance(f.notation, Dates) and not f.rivals} & set(SLASHED)
    usual = hints.order or (next(iter(known)) if len(known) == 1 else "dmy" if hints.decimal == "," else "mdy")
    sure = replace(hints, order=usual)
    return {name: _settled(one, sure, bool(hints.order) or len(known) == 1) for name, one in found.items()}


def _settled(one: Found, hints: Hints, sure: bool) -> Found:
    if not {n.order for n in (one.notation, *one.rivals) if isinstance(n, Dates)} >= set(SLASHED):
        return one
    out = _of_order(one, hints)
    if not isinstance(out.notation, Dates) or sure:
        return out
    other = "dmy" if out.notation.order == "mdy" else "mdy"
    note = f"every date could be {WORDS['dmy']} or {WORDS['mdy']}: read as {WORDS[out.notation.order]}"
    return replace(out, note=f"{note} (--dates {other} reads the other)")


def standard(kind: Kind) -> Notation:
    """The notation of programs: 1.5, 2024-12-31."""
    return Amounts() if kind == NUMBER else Dates()


def plain(notation: Notation) -> dict[str, Any]:
    """A notation as plain data for JSON."""
    return {"sort": notation.sort, **asdict(notation)}


def restored(data: Mapping[str, Any]) -> Notation:
    """The inverse of `plain`. Raises ValueError for other data."""
    rest = {name: value for name, value in data.items() if name != "sort"}
    sorts: dict[str, type[Amounts] | type[Dates]] = {"amounts": Amounts, "dates": Dates}
    try:
        return sorts[data["sort"]](**rest)
    except (KeyError, TypeError):
        raise ValueError("not a notation") from None
