"""Delimited text: CSV, TSV and similar, plain or compressed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import csv

from unstuck.tabular.tables import dialect as dialects
from unstuck.tabular.tables.delivery import FALSE, MISSING, REMEDY, TRUE, refuse_rounded, ungrouped
from unstuck.tabular.tables.dialect import Dialect
from unstuck.tabular.tables.head import Head, look
from unstuck.tabular.tables.kind import DATE, NUMBER, TEXT, Kind
from unstuck.tabular.tables.quotation import left_open, swallowing
from unstuck.tabular.tables.refusal import Misfit, TableError, refusing, shown

BLOCK = 1 << 20
"""Bytes of the first block, which decides the kinds, and of each later read."""
SAMPLE = 1 << 17
LONGEST = 1 << 26
"""Maximum bytes of a row."""

COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4"}
TYPES = {"number": pa.float64(), "boolean": pa.bool_(), "text": pa.string(), "date": pa.timestamp("us")}
WIDTH = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
VALUE = re.compile(r"CSV column #(\d+): Row #(\d+): CSV conversion error to ([^:]+): (.*)", re.DOTALL)


@dataclass(frozen=True)
class Delimited:
    """One text file, its dialect, and the kinds of its columns."""

    file: str
    dialect: Dialect
    names: tuple[str, ...]
    block: int
    """Bytes per read."""
    rows = None

    @property
    def first_row(self) -> int:
        return 2 if self.dialect.header else 1

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return self.head.kinds

    @property
    def undecided(self) -> frozenset[str]:
        return self.head.undecided

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"{Path(self.file).name}: {self.dialect}", *self.head.notes)

    @cached_property
    def head(self) -> Head:
        """What the first block tells about the columns; raises TableError if it has no rows or malformed ones."""
        with self._open() as stream:
            block = next((batch for batch in self._reader(stream, None) if batch.num_rows), None)
        if block is None:
            what = "has a header but no rows" if self.dialect.header else "has no rows"
            raise TableError(what, file=self.file)
        return look(block, self.dialect.decimal or ".")

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
        if kind == NUMBER and name in self.head.grouping:
            return pa.string()
        return self.head.dates.get(name, TYPES["date"]) if kind == DATE else TYPES[kind.name]

    def _finished(self, raw: pa.RecordBatch, kinds: Mapping[str, Kind], row: int) -> pa.RecordBatch:
        arrays = []
        for name, kind in kinds.items():
            column = raw.column(name)
            try:
                if kind == NUMBER and name in self.head.grouping:
                    column = ungrouped(column, self.head.grouping[name], self.dialect.decimal or ".")
                elif kind == NUMBER and name in self.head.whole:
                    refuse_rounded(column)
                elif kind == TEXT:
                    self._refuse_swallowing(column)
            except Misfit as misfit:
                raise TableError(misfit.why, file=self.file, row=row + misfit.index, column=name) from None
            arrays.append(column)
        return pa.RecordBatch.from_arrays(arrays, list(kinds))

    def _refuse_swallowing(self, column: pa.Array) -> None:
        place = swallowing(column, self.dialect.delimiter or ",", len(self.names))
        if place is not None:
            raise Misfit(place, "a quotation mark opens here and spans several rows")

    def _raw(self, types: Mapping[str, pa.DataType]) -> Iterator[pa.RecordBatch]:
        # Read the last column too if it is text: an unclosed quotation mark can only swallow rows into the last value.
        last = self.names[-1]
        types = types if last in types or self.kinds[last] != TEXT else {**types, last: pa.string()}
        batch, rows = None, self.first_row - 1
        with self._open() as stream:
            for batch in self._reader(stream, types):
                yield batch
                rows += batch.num_rows
            if batch is None or not batch.num_rows or types.get(last) != pa.string():
                return
            if left_open(batch.column(last)[-1].as_py() or "", stream.tail, self.dialect.quote):
                what = "a quotation mark opens here and is never closed"
                raise TableError(what, file=self.file, row=rows, column=last)

    @contextmanager
    def _open(self) -> Iterator[_Watched]:
        with refusing(self.file), _stream(self.file) as stream:
            try:
                yield _Watched(stream)
            except pa.ArrowInvalid as error:
                raise self._told(str(error)) from None
            except UnicodeDecodeError as error:
                raise TableError(f"is not valid {self.dialect.encoding}: {error.reason}", file=self.file) from None

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

    def _told(self, error: str) -> TableError:
        if found := WIDTH.search(error):
            row, expected, fields = map(int, found.groups())
            return TableError(f"expected {expected} fields, found {fields}", file=self.file, row=row)
        if found := VALUE.search(error):
            column, row, type_, why = found.groups()
            value = re.search(r"'(.*)'", why, re.DOTALL)
            named = {"double": "a number", "bool": "true or false", "string": "valid UTF-8"}.get(type_, "a date")
            what = f"{shown(value[1]) if value else 'the value'} is not {named}"
            remedy = "set the file's encoding (for example cp1252) or fix it" if type_ == "string" else REMEDY
            return TableError(f"{what}: {remedy}", file=self.file, row=int(row), column=self.names[int(column)])
        if "straddling" in error or "block" in error:
            what = f"a quotation mark is never closed, or a row is longer than {self.block >> 20} MiB"
            return TableError(what, file=self.file)
        return TableError(f"cannot be read: {error.splitlines()[0]}", file=self.file)


class _Watched(io.RawIOBase):
    """A stream that remembers its last bytes."""

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
    """Open a text file: detect its dialect, its column names and the kinds of its columns."""
    with refusing(file), _stream(file) as stream:
        sample, whole = _sample(stream, file)
    found = dialects.sniff(sample, whole, wanted, file)
    names = dialects.names(found.first, bool(found.dialect.header), file)
    widest = max(map(len, sample.splitlines()))
    # Wide rows: larger blocks, because each column of each block has a fixed cost.
    block = min(LONGEST, max(BLOCK, 4 * widest, min(64 * widest, 16 * BLOCK)))
    opened = Delimited(file, found.dialect, names, block)
    opened.head  # noqa: B018  (reports errors of the first block now)
    return opened


def _sample(stream: IO[bytes], file: str) -> tuple[bytes, bool]:
    """The first bytes, enough for two rows, and whether they are the whole file."""
    sample, size = b"", SAMPLE
    while len(sample) < LONGEST:
        more = stream.read(size)
        sample, size = sample + more, len(sample) + size
        if len(more) < size and not more:
            return sample, True
        if max(sample.count(b"\n"), sample.count(b"\r")) > 2 and len(sample) >= SAMPLE:
            return sample, False
    raise TableError(f"a row is longer than {LONGEST >> 20} MiB", file=file)
