"""Convert one column to the type of its kind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import types as is_

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.kind import Kind
from unstuck.tabular.tables.missing import MISSING, without
from unstuck.tabular.tables.notation import EXACT, Notation, standard
from unstuck.tabular.tables.refusal import Misfit, shown
from unstuck.tabular.tables.slips import Slips

if TYPE_CHECKING:
    from collections.abc import Callable

TRUE = ("true", "True", "TRUE")
FALSE = ("false", "False", "FALSE")
"""Only these: yes/no and the like stay text, so that predictions use the user's own words."""

DAY = {"s": 86_400.0, "ms": 86_400e3, "us": 86_400e6, "ns": 86_400e9}
LONG = "exceeds 2^53 and would be rounded: if it is an identifier, use --text COLUMN"
REMEDY = "fix it, or use --missing WORD, --text COLUMN or --drop COLUMN"


@dataclass(frozen=True)
class Reading:
    """How a column is read: its kind, how its texts are written, and which words are missing values in it."""

    name: str
    kind: Kind
    notation: Notation | None = None
    missing: tuple[str, ...] = ()


def delivered(raw: pa.Array, how: Reading, slips: Slips) -> pa.Array:
    """The column in the type of its kind (see Kind).

    Texts that are no numbers or dates become missing and are added to `slips`; raises Misfit for other values that
    cannot be converted.
    """
    kind = how.kind
    if is_.is_dictionary(raw.type):
        words = raw.dictionary
        raw = (words.cast(pa.string()) if _is_text(words.type) else words).take(raw.indices)
    if kind.name == "image":
        return _pictures(raw, kind)
    if kind.name == "text":
        return _text(raw, how.missing)
    if kind.name not in ("number", "boolean", "date"):
        raise Misfit(0, f"{raw.type} cannot be trained on: leave the column out")
    if is_.is_null(raw.type):
        return raw.cast(pa.float64())
    if _is_text(raw.type):
        raw = _parsed(raw, how, slips)
    return _emptied({"number": _number, "boolean": _boolean, "date": _days}[kind.name](raw), how.missing)


def _emptied(numbers: pa.Array, words: tuple[str, ...]) -> pa.Array:
    """Without the numbers that mean a missing value, such as -999."""
    for number in filter(None, map(_finite, words)):
        numbers = pc.if_else(pc.equal(numbers, number), pa.scalar(None, pa.float64()), numbers)
    return numbers


def _finite(word: str) -> float | None:
    try:
        return float(word) if math.isfinite(float(word)) else None
    except ValueError:
        return None


def _is_text(type_: pa.DataType) -> bool:
    return is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_)


def _number(raw: pa.Array) -> pa.Array:
    if is_.is_date(raw.type) or is_.is_timestamp(raw.type) or is_.is_time(raw.type):
        return _days(raw)
    if is_.is_duration(raw.type):
        return pc.divide(raw.cast(pa.int64()).cast(pa.float64(), safe=False), DAY[raw.type.unit])
    if is_.is_integer(raw.type) and raw.type.bit_width == 64:
        _refuse_beyond(raw, EXACT)
    if is_.is_boolean(raw.type):
        raw = raw.cast(pa.uint8())
    number = _cast(raw, pa.float64(), "a number")
    if not np.isnan(stored(number)).any():
        return number
    return pc.if_else(pc.is_nan(number), pa.scalar(None, pa.float64()), number)


def stored(numbers: pa.Array) -> np.ndarray:
    """The raw memory of the numbers, without a copy; entries under a null are arbitrary, so it can only rule out."""
    values = numbers.buffers()[1]
    if values is None or not len(numbers):
        return np.empty(0)
    return np.frombuffer(values, numbers.type.to_pandas_dtype())[numbers.offset : numbers.offset + len(numbers)]


def exceeds(numbers: pa.Array, limit: int) -> bool:
    """Whether the absolute value of a number exceeds the limit."""
    lying = stored(numbers)
    if not len(lying) or -limit <= lying.min() <= lying.max() <= limit:
        return False
    ends = pc.min_max(numbers).as_py()
    return ends["max"] is not None and not -limit <= ends["min"] <= ends["max"] <= limit


def _refuse_beyond(raw: pa.Array, limit: int) -> None:
    if not exceeds(raw, limit):
        return
    beyond = next(i for i, v in enumerate(raw.to_pylist()) if v is not None and abs(v) > limit)
    raise Misfit(beyond, f"{raw[beyond].as_py()} {LONG}")


def refuse_rounded(numbers: pa.Array) -> None:
    """Raise Misfit if a column of whole numbers holds one that float64 has rounded."""
    if not exceeds(numbers, EXACT):
        return
    beyond = next((i for i, v in enumerate(numbers.to_pylist()) if v is not None and EXACT < abs(v) < math.inf), None)
    if beyond is None:
        return
    raise Misfit(beyond, f"the whole number {LONG}")


def _boolean(raw: pa.Array) -> pa.Array:
    if is_.is_boolean(raw.type):
        return raw.cast(pa.uint8()).cast(pa.float64())
    number = _number(raw)
    odd = pc.fill_null(pc.not_equal(pc.multiply(number, pc.subtract(number, 1.0)), 0.0), False)
    if pc.any(odd).as_py():
        first = odd.to_pylist().index(True)
        raise Misfit(first, f"{number[first].as_py():g} is neither true nor false: {REMEDY}")
    return number


def _days(raw: pa.Array) -> pa.Array:
    type_ = raw.type
    if is_.is_date32(type_):
        return raw.cast(pa.int32()).cast(pa.float64())
    if is_.is_date64(type_):
        return pc.divide(raw.cast(pa.int64()).cast(pa.float64(), safe=False), DAY["ms"])
    if is_.is_timestamp(type_) or is_.is_time(type_):
        ticks = raw.cast(pa.int32() if is_.is_time32(type_) else pa.int64())
        return pc.divide(ticks.cast(pa.float64(), safe=False), DAY[type_.unit])
    return _number(raw)


def _text(raw: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    text = _cast(raw, pa.string(), "text")
    blank = pc.is_in(text, value_set=pa.array(["", *missing]))
    return pc.if_else(blank, pa.scalar(None, pa.string()), text) if pc.any(blank).as_py() else text


def _parsed(raw: pa.Array, how: Reading, slips: Slips) -> pa.Array:
    """Text as another kind; words for missing values become null, and so do slips."""
    text = without(raw, (*MISSING, *how.missing))
    if how.kind.name == "boolean":
        return _cast(text, pa.bool_(), "true or false")
    notation = how.notation if how.notation is not None and how.notation.kind == how.kind else standard(how.kind)
    _refuse_long(text, how.kind)
    numbers = notation.parse(text)
    slips.add(how.name, notation, text, numbers)
    return numbers


def _refuse_long(text: pa.Array, kind: Kind) -> None:
    """Raise Misfit for a whole number that float64 would round."""
    if kind.name != "number":
        return
    long = text.filter(pc.match_substring_regex(text, r"^[-+]?\d{16,400}$"))
    if len(long):
        refuse = next((word for word in long.to_pylist() if abs(int(word)) > EXACT), None)
        if refuse is not None:
            at = text.to_pylist().index(refuse)
            raise Misfit(at, f"{refuse} {LONG}")


def _cast(raw: pa.Array, type_: pa.DataType, what: str) -> pa.Array:
    if raw.type.equals(type_):
        return raw
    try:
        return raw.cast(type_)
    except pa.ArrowNotImplementedError:
        raise Misfit(0, f"{raw.type} cannot be read as {what}") from None
    except pa.ArrowInvalid:
        first = _first(raw, lambda part: part.cast(type_))
        raise Misfit(first, f"{shown(raw[first].as_py())} is not {what}: {REMEDY}") from None


def _first(raw: pa.Array, attempt: Callable[[pa.Array], object]) -> int:
    """The index of the first value for which `attempt` fails; it fails for the whole array."""
    low, high = 0, len(raw)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            attempt(raw.slice(low, middle - low))
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _pictures(raw: pa.Array, kind: Kind) -> pa.Array:
    if raw.type.equals(kind.type):
        return raw
    from unstuck.tabular.tables.pictures import decoded

    return decoded(raw, kind)
