"""Kinds of the columns of a text file, from its first block."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types as is_

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.delivery import EXACT, MISSING, exceeds
from unstuck.tabular.tables.dialect import MARKS, THOUSANDS
from unstuck.tabular.tables.dialect import NUMBER as NUMBERS
from unstuck.tabular.tables.kind import BOOLEAN, DATE, NUMBER, TEXT, Kind
from unstuck.tabular.tables.refusal import shown

MOSTLY = 0.9
"""A column with at least this share of numbers is numeric with errors, not text."""


@dataclass(frozen=True)
class Head:
    """The kinds of the columns, and how to parse them."""

    kinds: Mapping[str, Kind]
    undecided: frozenset[str]
    whole: frozenset[str]
    """Columns in which all numbers are whole."""
    grouping: Mapping[str, str]
    """The separator between thousands, for columns that use one."""
    dates: Mapping[str, pa.DataType]
    """The Arrow type of every date column: with a time zone, times only, or neither."""
    notes: tuple[str, ...]


def look(block: pa.RecordBatch, decimal: str) -> Head:
    """Decide the kinds from a block of rows in inferred types, and inspect the columns inferred as text."""
    types = dict(zip(block.schema.names, block.schema.types, strict=True))
    kinds = {name: _kind(type_) for name, type_ in types.items()}
    grouping: dict[str, str] = {}
    notes: list[str] = []
    for name, column in zip(block.schema.names, block.columns, strict=True):
        if is_.is_integer(column.type) and exceeds(column, EXACT):
            kinds[name] = TEXT
            notes.append(f"column {shown(name)}: whole numbers beyond 2^53 are identifiers: read as text")
        elif is_.is_string(column.type) and (mark := _grouping(column, decimal)):
            kinds[name], grouping[name] = NUMBER, mark
        elif is_.is_string(column.type) and _mostly_numbers(column, decimal):
            kinds[name] = NUMBER
    return Head(
        kinds,
        frozenset(name for name, type_ in types.items() if is_.is_null(type_)),
        frozenset(name for name, type_ in types.items() if is_.is_integer(type_)),
        grouping,
        {name: _dated(types[name]) for name, kind in kinds.items() if kind == DATE},
        tuple(notes),
    )


def _kind(type_: pa.DataType) -> Kind:
    if is_.is_boolean(type_):
        return BOOLEAN
    if is_.is_string(type_) or is_.is_binary(type_):
        return TEXT
    return DATE if is_.is_temporal(type_) else NUMBER


def _dated(type_: pa.DataType) -> pa.DataType:
    if is_.is_time(type_):
        return type_
    return pa.timestamp("us", "UTC" if is_.is_timestamp(type_) and type_.tz else None)


def _written(column: pa.Array) -> pa.Array:
    """The values without the words for missing ones."""
    text = pc.utf8_trim_whitespace(column)
    return text.filter(pc.invert(pc.is_in(text, value_set=pa.array(MISSING))))


def _mostly_numbers(column: pa.Array, decimal: str) -> bool:
    text = _written(column)
    fits = pc.sum(pc.match_substring_regex(text, f"^(?:{NUMBERS[decimal].pattern})$", ignore_case=True)).as_py()
    return bool(fits) and fits >= MOSTLY * len(text)


def _grouping(column: pa.Array, decimal: str) -> str:
    """The separator between thousands if all values are numbers and some use it; else an empty string."""
    text = _written(column)
    example = pc.match_substring_regex(text, rf"\d[{MARKS[decimal]}]\d{{3}}")
    first = text.filter(example)[0].as_py() if pc.any(example).as_py() else ""
    mark = THOUSANDS[decimal].fullmatch(first)
    if not mark:
        return ""
    m, d = re.escape(mark[1]), re.escape(decimal)
    one = rf"^[-+]?(\d+|\d{{1,3}}({m}\d{{3}})+)({d}\d+)?$"
    return mark[1] if pc.all(pc.match_substring_regex(text, one)).as_py() else ""
