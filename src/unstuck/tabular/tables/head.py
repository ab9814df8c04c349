"""Kinds of the columns of a text file, from its first block."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import types as is_

from unstuck.tabular.tables.delivery import exceeds
from unstuck.tabular.tables.kind import BOOLEAN, DATE, NUMBER, TEXT, Kind
from unstuck.tabular.tables.missing import MISSING, without
from unstuck.tabular.tables.notation import EXACT, Amounts, Found, Hints, Notation, decide, settled, share
from unstuck.tabular.tables.refusal import shown


@dataclass(frozen=True)
class Head:
    """The kinds of the columns, and how to parse them."""

    kinds: Mapping[str, Kind]
    undecided: frozenset[str]
    whole: frozenset[str]
    """Columns in which all numbers are whole."""
    native: Mapping[str, pa.DataType]
    """The columns that Arrow parses, and the types it parses them to."""
    notations: Mapping[str, Notation]
    """How the other numbers and dates are written."""
    texts: Mapping[str, pa.Array]
    """The first values of the columns that Arrow does not parse."""
    notes: tuple[str, ...]

    def suits(self, name: str, notation: Notation, own: Notation) -> bool:
        """Whether a notation fits the first values of a column at least as well as its own."""
        if name not in self.texts:
            return True
        text = without(self.texts[name], MISSING).drop_null()
        return share(notation, text) >= share(own, text)


def look(block: pa.RecordBatch, hints: Hints, coded: Collection[str] = ()) -> Head:
    """Decide the kinds from a block of rows in inferred types; columns inferred as text are looked at more closely.
    `coded`: columns with numbers that begin with 0, such as 01234."""
    types = dict(zip(block.schema.names, block.schema.types, strict=True))
    columns = dict(zip(block.schema.names, block.columns, strict=True))
    texts = {name: column for name, column in columns.items() if is_.is_string(column.type)}
    long = [name for name, c in columns.items() if is_.is_integer(c.type) and exceeds(c, EXACT)]
    found = settled({name: decide(column, hints) for name, column in texts.items()}, hints)
    kinds = {name: found[name].kind if name in found else _kind(type_) for name, type_ in types.items()}
    codes = [name for name in coded if is_.is_integer(types[name]) and name not in long]
    kinds |= dict.fromkeys((*long, *codes), TEXT)
    native = {name: _native(types[name]) for name in types if name not in found and kinds[name] != TEXT}
    empty = frozenset(name for name, type_ in types.items() if is_.is_null(type_))
    empty |= {name for name, one in found.items() if one.empty}
    return Head(
        kinds, empty, frozenset(name for name, type_ in types.items() if is_.is_integer(type_)), native,
        _notations(kinds, found, hints.decimal), texts, (*_long(long), *_coded(codes), *noted(found)),
    )  # fmt: skip


def _notations(kinds: Mapping[str, Kind], found: Mapping[str, Found], decimal: str) -> dict[str, Notation]:
    """Of all numbers and dates; those that Arrow parses need one where a cell of theirs is none."""
    known: dict[str, Notation] = {name: one.notation for name, one in found.items() if one.notation is not None}
    usual = {name: Amounts(decimal) for name, kind in kinds.items() if kind == NUMBER and name not in known}
    return known | (usual if decimal != "." else {})


def noted(found: Mapping[str, Found]) -> list[str]:
    """What the user should know about the texts that were read as numbers or dates."""
    notes = [f"column {shown(name)}: {one.note}" for name, one in found.items() if one.note]
    for name, one in found.items():
        if isinstance(one.notation, Amounts) and (one.notation.percent or one.notation.scaled or one.notation.unit):
            notes.append(f"column {shown(name)}: {one.notation}")
    return notes


def _long(names: list[str]) -> list[str]:
    return [f"column {shown(name)}: whole numbers beyond 2^53 are identifiers: read as text" for name in names]


def _coded(names: list[str]) -> list[str]:
    return [f"column {shown(name)}: numbers with leading zeros are codes: read as text" for name in names]


def _kind(type_: pa.DataType) -> Kind:
    if is_.is_boolean(type_):
        return BOOLEAN
    if is_.is_string(type_) or is_.is_binary(type_):
        return TEXT
    return DATE if is_.is_temporal(type_) else NUMBER


def _native(type_: pa.DataType) -> pa.DataType:
    """The type to read a column as, of which all rows must be."""
    if is_.is_boolean(type_):
        return pa.bool_()
    if is_.is_time(type_):
        return type_
    if is_.is_temporal(type_):
        return pa.timestamp("us", "UTC" if is_.is_timestamp(type_) and type_.tz else None)
    return pa.string() if is_.is_binary(type_) else pa.float64()
