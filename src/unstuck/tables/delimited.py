"""Tables in text: CSV, TSV and their kin, plain or compressed."""

# pyarrow makes the functions of its compute module at run time.
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv
from pyarrow import types as is_

from unstuck.tables import dialect as dialects
from unstuck.tables.delivery import EXACT, FALSE, MISSING, REMEDY, TRUE, refuse_rounded, ungrouped
from unstuck.tables.dialect import Dialect
from unstuck.tables.kind import BOOLEAN, DATE, NUMBER, TEXT, Kind
from unstuck.tables.refusal import Misfit, TableError, refusing, shown

BLOCK = 1 << 20
"""Bytes of the head that decide on the kinds, and of what is read at a time."""
SAMPLE = 1 << 17
LONGEST = 1 << 26
"""Bytes of a row at most."""
MOSTLY = 0.9
"""A column with so many numbers among its values is one of numbers with faults in it, not of text."""

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
TYPES = {"number": pa.float64(), "boolean": pa.bool_(), "text": pa.string(), "date": pa.timestamp("us")}
WIDTH = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
VALUE = re.compile(r"CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Delimited:
    """One file of text, its dialect, and what its head says of the columns."""

    file: str
    dialect: Dialect
    names: tuple[str, ...]
    kinds: Mapping[str, Kind]
    undecided: frozenset[str]
    notes: tuple[str, ...]
    block: int
    zones: frozenset[str] = frozenset()
    """Columns of dates that name their zone."""
    whole: frozenset[str] = frozenset()
    """Columns in whose head all numbers are whole."""
    grouping: Mapping[str, str] | None = None
    """The mark between thousands, of the columns that have one."""
    rows = None

    @property
    def first_row(self) -> int:
        return 2 if self.dialect.header else 1

    def batches(self, kinds: Mapping[str, Kind], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns, a block of the file at a time."""
        types = {name: self._type(name, kind) for name, kind in kinds.items()}
        row = self.first_row
        for raw in self._raw(types):
            yield self._finished(raw, kinds, row)
            row += raw.num_rows

    def _type(self, name: str, kind: Kind) -> pa.DataType:
        if kind.name not in TYPES:
            raise TableError(f"text cannot be read as {kind.name}", file=self.file, column=name)
        if kind == NUMBER and self.kinds[name] == NUMBER and name in (self.grouping or {}):
            return pa.string()
        return pa.timestamp("us", "UTC") if kind == DATE and name in self.zones else TYPES[kind.name]

    def _finished(self, raw: pa.RecordBatch, kinds: Mapping[str, Kind], row: int) -> pa.RecordBatch:
        arrays = [raw.column(name) for name in kinds]
        for i, (name, kind) in enumerate(kinds.items()):
            if kind == NUMBER and is_.is_string(arrays[i].type):
                arrays[i] = ungrouped(arrays[i], (self.grouping or {})[name], self.dialect.decimal or ".")
            elif kind == NUMBER and name in self.whole:
                self._refuse_rounded(arrays[i], name, row)
        return pa.RecordBatch.from_arrays(arrays, list(kinds))

    def _refuse_rounded(self, numbers: pa.Array, name: str, row: int) -> None:
        try:
            refuse_rounded(numbers)
        except Misfit as misfit:
            raise TableError(misfit.why, file=self.file, row=row + misfit.index, column=name) from None

    def _raw(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        # The last column is read too where it is text: only there can an open quotation mark swallow what follows.
        last = self.names[-1]
        also = {} if last in types or self.kinds[last] != TEXT else {last: pa.string()}
        with refusing(self.file), _stream(self.file) as stream:
            watched, batch, rows = _Watched(stream), None, self.first_row - 1
            try:
                for batch in self._reader(watched, {**types, **also}):
                    yield batch
                    rows += batch.num_rows
            except pa.ArrowInvalid as error:
                raise self._told(str(error), rows) from None
            except UnicodeDecodeError as error:
                raise TableError(f"is not {self.dialect.encoding} throughout: {error.reason}", file=self.file) from None
            self._refuse_open_quote(batch, watched.tail, rows)

    def _reader(self, stream: Any, types: Mapping[str, pa.DataType] | None) -> csv.CSVStreamingReader:
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(
                use_threads=False,
                block_size=self.block,
                encoding="utf8" if self.dialect.encoding == "utf-8" else self.dialect.encoding,
                column_names=self.names,
                skip_rows_after_names=int(bool(self.dialect.header)),
            ),
            parse_options=csv.ParseOptions(
                delimiter=self.dialect.delimiter, quote_char=self.dialect.quote, newlines_in_values=True
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                include_columns=list(types) if types is not None else None,
                null_values=MISSING,
                true_values=TRUE,
                false_values=FALSE,
                decimal_point=self.dialect.decimal,
                timestamp_parsers=[csv.ISO8601, "%d.%m.%Y"],
            ),
        )

    def _told(self, error: str, rows: int) -> TableError:
        if found := WIDTH.search(error):
            row, expected, fields = map(int, found.groups())
            return TableError(f"{expected} fields were expected, {fields} found", file=self.file, row=row)
        if found := VALUE.search(error):
            column, row, type_, why = found.groups()
            value = re.search(r"'(.*)'", why, re.DOTALL)
            named = {"double": "a number", "bool": "true or false", "string": "valid UTF-8"}.get(type_, "a date")
            what = f"{shown(value[1]) if value else 'what stands here'} is not {named}"
            remedy = "name the file's encoding (as in cp1252) or correct it" if type_ == "string" else REMEDY
            return TableError(f"{what}: {remedy}", file=self.file, row=int(row), column=self.names[int(column)])
        if "straddling" in error or "block" in error:
            return TableError(
                f"after row {rows:,} a quotation mark is never closed, or a row is longer than {self.block >> 20} MiB",
                file=self.file,
            )
        return TableError(f"cannot be read: {error.splitlines()[0]}", file=self.file)

    def _refuse_open_quote(self, batch: pa.RecordBatch | None, tail: bytes, rows: int) -> None:
        last = self.names[-1]
        if batch is None or not batch.num_rows or last not in batch.schema.names:
            return
        if not is_.is_string(batch.schema.field(last).type):
            return
        value = batch.column(last)[-1].as_py() or ""
        closed = tail.replace(b"\0", b"").rstrip(b"\r\n").endswith(self.dialect.quote.encode())
        if "\n" in value and (value.endswith("\n") or not closed):
            raise TableError("a quotation mark opens here and is never closed", file=self.file, row=rows, column=last)

    @cached_property
    def head(self) -> pa.RecordBatch | None:
        """The first block in the types that suit it; None where it has no rows."""
        with refusing(self.file), _stream(self.file) as stream:
            try:
                return next((batch for batch in self._reader(_Watched(stream), None) if batch.num_rows), None)
            except pa.ArrowInvalid as error:
                raise self._told(str(error), self.first_row - 1) from None
            except UnicodeDecodeError as error:
                raise TableError(f"is not {self.dialect.encoding} throughout: {error.reason}", file=self.file) from None


class _Watched(io.RawIOBase):
    """The stream, with its last bytes kept in mind."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.tail = stream, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        got = self.stream.read(size)
        self.tail = (self.tail + got[-8:])[-8:]
        return got


def _stream(file: str) -> IO[bytes]:
    with Path(file).open("rb") as opened:
        start = opened.read(4)
    compression = next((name for magic, name in COMPRESSED.items() if start.startswith(magic)), None)
    return pa.input_stream(file, compression=compression)


def delimited(file: str, wanted: Dialect) -> Delimited:
    """A file of text, opened: its dialect sniffed, its columns named, their kinds read off its first block."""
    with refusing(file), _stream(file) as stream:
        sample, whole = _sample(stream, file)
    found = dialects.sniff(sample, whole, wanted, file)
    names = dialects.names(found.first, bool(found.dialect.header), file)
    widest = max(map(len, sample.splitlines()))
    # Of wide rows, many at a time: each column of each block has its price.
    block = min(LONGEST, max(BLOCK, 4 * widest, min(64 * widest, 16 * BLOCK)))
    plain = Delimited(file, found.dialect, names, dict.fromkeys(names, TEXT), frozenset(), (), block)
    if plain.head is None:
        what = "has a row of names and no rows below" if found.dialect.header else "holds no rows"
        raise TableError(what, file=file)
    return _looked_at(plain, plain.head)


def _sample(stream: IO[bytes], file: str) -> tuple[bytes, bool]:
    """The first bytes, so many that two rows stand in them, and whether they are all."""
    sample, size = b"", SAMPLE
    while len(sample) < LONGEST:
        more = stream.read(size)
        sample, size = sample + more, len(sample) + size
        if len(more) < size and not more:
            return sample, True
        if max(sample.count(b"\n"), sample.count(b"\r")) > 2 and len(sample) >= SAMPLE:
            return sample, False
    raise TableError(f"a row is longer than {LONGEST >> 20} MiB", file=file)


def _looked_at(plain: Delimited, head: pa.RecordBatch) -> Delimited:
    """The file with kinds, by the types that its first block was given and a look at what became text."""
    kinds: dict[str, Kind] = {}
    grouping: dict[str, str] = {}
    notes = [f"{Path(plain.file).name}: {plain.dialect}"]
    for name, column in zip(plain.names, head.columns, strict=True):
        kinds[name] = _kind(column.type)
        if is_.is_integer(column.type) and _beyond(column):
            kinds[name] = TEXT
            notes.append(f"column {shown(name)}: whole numbers of so many digits are names: read as text")
        elif kinds[name] == TEXT and (mark := _grouping(column, plain.dialect.decimal or ".")):
            kinds[name], grouping[name] = NUMBER, mark
        elif kinds[name] == TEXT and _mostly_numbers(column, plain.dialect.decimal or "."):
            kinds[name] = NUMBER
    types = dict(zip(plain.names, head.schema.types, strict=True))
    return Delimited(
        plain.file,
        plain.dialect,
        plain.names,
        kinds,
        frozenset(name for name, type_ in types.items() if is_.is_null(type_)),
        tuple(notes),
        plain.block,
        frozenset(name for name, type_ in types.items() if is_.is_timestamp(type_) and type_.tz),
        frozenset(name for name, type_ in types.items() if is_.is_integer(type_)),
        grouping,
    )


def _kind(type_: pa.DataType) -> Kind:
    if is_.is_boolean(type_):
        return BOOLEAN
    if is_.is_string(type_) or is_.is_binary(type_):
        return TEXT
    return DATE if is_.is_temporal(type_) else NUMBER


def _beyond(column: pa.Array) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["max"] is not None and max(abs(ends["min"]), abs(ends["max"])) > EXACT


def _written(column: pa.Array) -> pa.Array:
    """The values of a column of text without the words for nothing."""
    if not is_.is_string(column.type):
        return pa.array([], pa.string())
    text = pc.utf8_trim_whitespace(column)
    return text.filter(pc.invert(pc.is_in(text, value_set=pa.array(MISSING))))


def _mostly_numbers(column: pa.Array, decimal: str) -> bool:
    text = _written(column)
    fits = pc.sum(pc.match_substring_regex(text, f"^(?:{dialects.NUMBER[decimal].pattern})$", ignore_case=True)).as_py()
    return bool(fits) and fits >= MOSTLY * len(text)


def _grouping(column: pa.Array, decimal: str) -> str:
    """The mark between thousands where all values are numbers and some are written with it; else nothing."""
    text = _written(column)
    example = pc.match_substring_regex(text, r"\d\D\d{3}")
    first = text.filter(example)[0].as_py() if pc.any(example).as_py() else ""
    mark = dialects.THOUSANDS[decimal].fullmatch(first)
    if not mark:
        return ""
    m, d = re.escape(mark[1]), re.escape(decimal)
    one = rf"^[-+]?(\d+|\d{{1,3}}({m}\d{{3}})+)({d}\d+)?$"
    return mark[1] if pc.all(pc.match_substring_regex(text, one)).as_py() else ""
