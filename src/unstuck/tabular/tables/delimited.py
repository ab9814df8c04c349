"""Delimited text: CSV, TSV and similar, plain or compressed."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from pyarrow import csv

from unstuck.tabular.tables import dialect as dialects
from unstuck.tabular.tables.delivery import FALSE, TRUE, refuse_rounded
from unstuck.tabular.tables.dialect import Dialect
from unstuck.tabular.tables.head import Head, look
from unstuck.tabular.tables.kind import BOOLEAN, DATE, NUMBER, TEXT, Kind
from unstuck.tabular.tables.missing import MISSING, without
from unstuck.tabular.tables.naming import names as named
from unstuck.tabular.tables.notation import Hints, Notation
from unstuck.tabular.tables.packed import unpacked
from unstuck.tabular.tables.quotation import left_open, swallowing
from unstuck.tabular.tables.refusal import Misfit, TableError, refusing

BLOCK = 1 << 20
"""Bytes of the first block, which decides the kinds, and of each later read."""
SAMPLE = 1 << 17
LONGEST = 1 << 26
"""Maximum bytes of a row."""

CODE = re.compile(r"\s*0\d+\s*")
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
    told: tuple[str, ...] = ()
    """Notes on the names."""
    coded: frozenset[str] = frozenset()
    """Columns with whole numbers that begin with 0 in the first rows."""
    gone: frozenset[str] = frozenset()
    """Words for a missing value that occur among the numbers of the first rows."""
    rows = None

    @property
    def first_row(self) -> int:
        return self.dialect.skip + (2 if self.dialect.header else 1)

    @property
    def kinds(self) -> Mapping[str, Kind]:
        return self.head.kinds

    @property
    def undecided(self) -> frozenset[str]:
        return self.head.undecided

    @property
    def notations(self) -> Mapping[str, Notation]:
        return self.head.notations

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(sorted(self.gone))

    @property
    def notes(self) -> tuple[str, ...]:
        return (f"{Path(self.file).name}: {self.dialect}", *self.told, *self.head.notes)

    def suits(self, name: str, notation: Notation, own: Notation) -> bool:
        """Whether a notation fits the first rows of a column at least as well as its own."""
        return self.head.suits(name, notation, own)

    @cached_property
    def head(self) -> Head:
        """What the first block tells about the columns; raises TableError if it has no rows or malformed ones."""
        with self._open() as stream:
            block = next((batch for batch in self._batches(stream, None, self.dialect.missing) if batch.num_rows), None)
        if block is None:
            what = "has a header but no rows" if self.dialect.header else "has no rows"
            raise TableError(what, file=self.file)
        dialect = self.dialect
        hints = Hints(dialect.decimal or ".", dialect.order, dialect.missing)
        return look(block, hints, self.coded)

    def batches(self, kinds: Mapping[str, Kind], missing: tuple[str, ...], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns, a block of the file at a time; numbers and dates that Arrow does not parse as text."""
        types = {name: self._type(name, kind) for name, kind in kinds.items()}
        row = self.first_row
        for raw in self._raw(types, missing):
            yield self._finished(raw, kinds, row)
            row += raw.num_rows

    def _type(self, name: str, kind: Kind) -> pa.DataType:
        if kind not in (NUMBER, BOOLEAN, DATE, TEXT):
            raise TableError(f"text cannot be read as {kind.name}", file=self.file, column=name)
        return self.head.native.get(name, pa.string()) if kind == self.kinds[name] != TEXT else pa.string()

    def _finished(self, raw: pa.RecordBatch, kinds: Mapping[str, Kind], row: int) -> pa.RecordBatch:
        arrays = []
        for name, kind in kinds.items():
            column = raw.column(name)
            try:
                if kind == NUMBER and name in self.head.whole and pa.types.is_floating(column.type):
                    refuse_rounded(column)
                elif kind == TEXT:
                    self._refuse_swallowing(column)
                    column = without(column, ("",))
            except Misfit as misfit:
                raise TableError(misfit.why, file=self.file, row=row + misfit.index, column=name) from None
            arrays.append(column)
        return pa.RecordBatch.from_arrays(arrays, list(kinds))

    def _refuse_swallowing(self, column: pa.Array) -> None:
        place = swallowing(column, self.dialect.delimiter or ",", len(self.names))
        if place is not None:
            raise Misfit(place, "a quotation mark opens here and spans several rows")

    def _raw(self, types: Mapping[str, pa.DataType], missing: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """All rows; a column with a cell that Arrow cannot parse is read as text from the block of that cell on."""
        # Read the last column too if it is text: an unclosed quotation mark can only swallow rows into the last value.
        last = self.names[-1]
        types = types if last in types or self.kinds[last] != TEXT else {**types, last: pa.string()}
        done = 0
        while True:
            try:
                for batch in self._from(types, missing, done):
                    yield batch
                    done += batch.num_rows
                return
            except _Unparsed as slip:
                types = {**types, slip.column: pa.string()}

    def _from(self, types: Mapping[str, pa.DataType], missing: tuple[str, ...], done: int) -> Iterator[pa.RecordBatch]:
        """The rows behind the first `done`."""
        batch, rows, last = None, 0, self.names[-1]
        with self._open() as stream:
            for batch in self._batches(stream, types, missing):
                fresh = batch.slice(max(0, done - rows))
                rows += batch.num_rows
                if fresh.num_rows:
                    yield fresh
            if batch is None or not batch.num_rows or types.get(last) != pa.string() or self.dialect.slow:
                return
            if left_open(batch.column(last)[-1].as_py() or "", stream.tail, self.dialect.quote):
                what = "a quotation mark opens here and is never closed"
                raise TableError(what, file=self.file, row=rows + self.first_row - 1, column=last)

    @contextmanager
    def _open(self) -> Iterator[_Watched]:
        with refusing(self.file), unpacked(self.file) as stream:
            try:
                yield _Watched(stream)
            except pa.ArrowInvalid as error:
                raise self._told(str(error)) from None
            except UnicodeDecodeError as error:
                raise TableError(f"is not valid {self.dialect.encoding}: {error.reason}", file=self.file) from None

    def _batches(
        self, stream: Any, types: Mapping[str, pa.DataType] | None, missing: tuple[str, ...]
    ) -> Iterable[pa.RecordBatch]:
        if self.dialect.slow:
            from unstuck.tabular.tables.slow import batches

            return batches(stream, self.file, self.dialect, self.names, types, self.first_row)
        return self._reader(stream, types, missing)

    def _invalid(self, row: Any) -> str:
        comment = self.dialect.comment
        return "skip" if comment and row.text.lstrip().startswith(comment) else "error"

    def _reader(
        self, stream: Any, types: Mapping[str, pa.DataType] | None, missing: tuple[str, ...]
    ) -> csv.CSVStreamingReader:
        return csv.open_csv(
            stream,
            read_options=csv.ReadOptions(
                use_threads=False,
                block_size=self.block,
                encoding="utf8" if self.dialect.encoding == "utf-8" else self.dialect.encoding,
                column_names=self.names,
                skip_rows=self.dialect.skip,
                skip_rows_after_names=int(bool(self.dialect.header)),
            ),
            parse_options=csv.ParseOptions(
                delimiter=self.dialect.delimiter,
                quote_char=self.dialect.quote,
                newlines_in_values=True,
                invalid_row_handler=self._invalid,
            ),
            convert_options=csv.ConvertOptions(
                column_types=types,
                include_columns=list(types) if types is not None else None,
                null_values=[*MISSING, *missing],
                true_values=TRUE,
                false_values=FALSE,
                decimal_point=self.dialect.decimal,
                timestamp_parsers=[csv.ISO8601],
            ),
        )

    def _told(self, error: str) -> TableError:
        if found := WIDTH.search(error):
            row, expected, fields = map(int, found.groups())
            return TableError(f"expected {expected} fields, found {fields}", file=self.file, row=row)
        if found := VALUE.search(error):
            column, row, type_, _ = found.groups()
            name = self.names[int(column)]
            if type_ != "string":
                raise _Unparsed(name)
            what = "the value is not valid UTF-8: set the file's encoding (for example cp1252) or fix it"
            return TableError(what, file=self.file, row=int(row), column=name)
        if "straddling" in error or "block" in error:
            what = f"a quotation mark is never closed, or a row is longer than {self.block >> 20} MiB"
            return TableError(what, file=self.file)
        return TableError(f"cannot be read: {error.splitlines()[0]}", file=self.file)


class _Unparsed(Exception):
    """Arrow cannot parse a cell of a column."""

    def __init__(self, column: str) -> None:
        self.column = column
        super().__init__(column)


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


def delimited(file: str, wanted: Dialect) -> Delimited:
    """Open a text file: detect its dialect, its column names and the kinds of its columns."""
    with refusing(file), unpacked(file) as stream:
        sample, whole = _sample(stream, file)
    found = dialects.sniff(sample, whole, wanted, file)
    names, notes = named(found.first, bool(found.dialect.header))
    widest = max(map(len, sample.splitlines()))
    # Wide rows: larger blocks, because each column of each block has a fixed cost.
    block = min(LONGEST, max(BLOCK, 4 * widest, min(64 * widest, 16 * BLOCK)))
    opened = Delimited(file, found.dialect, names, block, notes, _coded(names, found.rows))
    return replace(opened, gone=_gone(opened, found.rows))


def _coded(names: tuple[str, ...], rows: list[list[str]]) -> frozenset[str]:
    return frozenset(n for j, n in enumerate(names) if any(j < len(row) and CODE.fullmatch(row[j]) for row in rows))


def _gone(opened: Delimited, rows: list[list[str]]) -> frozenset[str]:
    """Words for a missing value that occur in columns of numbers and dates, so that they mean the same in text."""
    kinds, empty = opened.kinds, opened.undecided
    typed = [j for j, name in enumerate(opened.names) if kinds[name] in (NUMBER, DATE) and name not in empty]
    cells = {row[j].strip() for row in rows for j in typed if j < len(row)}
    return frozenset(cells & set(MISSING)) - {""}


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
