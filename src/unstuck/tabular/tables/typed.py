"""Typed sources: Parquet, Arrow files and streams, and tables in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import ipc
from pyarrow import types as is_

from unstuck.tabular.tables.delivery import EXACT, exceeds
from unstuck.tabular.tables.dialect import refuse_twice
from unstuck.tabular.tables.kind import OTHER, TEXT, Kind, of_type, stated
from unstuck.tabular.tables.refusal import TableError, refusing, shown

BUFFER = 1 << 20
"""Bytes read at a time of a Parquet column; without it, whole row groups are read."""

Batches = Callable[[list[str], int], Iterator[pa.RecordBatch]]
"""(columns, rows at a time) -> all batches, from the start."""


@dataclass(frozen=True)
class Typed:
    """A source with a schema, and how to read it."""

    file: str
    kinds: Mapping[str, Kind]
    undecided: frozenset[str]
    rows: int | None
    read: Batches
    notes: tuple[str, ...] = ()
    first_row = 1

    def batches(self, kinds: Mapping[str, Kind], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns, in their stored types."""
        for batch in self.read(list(kinds), size):
            yield batch.select(list(kinds))


def typed(file: str, schema: pa.Schema, rows: int | None, read: Batches) -> Typed:
    """A source with the kinds of its columns, from their types and, if those are ambiguous, from the first rows."""
    with refusing(file):
        refuse_twice(schema.names, file)
        if not schema.names:
            raise TableError("has no columns", file=file)
        if rows == 0:
            raise TableError("has columns but no rows", file=file)
        return _looked_at(file, schema, rows, read)


def _looked_at(file: str, schema: pa.Schema, rows: int | None, read: Batches) -> Typed:
    kinds = {field.name: stated(field) or of_type(field.type) for field in schema}
    doubtful = [f.name for f in schema if kinds[f.name] == OTHER or (is_.is_integer(f.type) and f.type.bit_width == 64)]
    head = next(read(doubtful, 256), None) if doubtful else None
    notes: list[str] = []
    if head is not None:
        head.validate(full=True)
        for name in doubtful:
            kinds[name] = _by_look(head.column(name), kinds[name])
            if kinds[name] == TEXT:
                notes.append(f"column {shown(name)}: whole numbers beyond 2^53 are identifiers: read as text")
    undecided = frozenset(field.name for field in schema if is_.is_null(field.type))
    return Typed(file, kinds, undecided, rows, read, tuple(notes))


def _by_look(column: pa.Array, kind: Kind) -> Kind:
    if kind == OTHER:
        return _picture(column) or OTHER
    return TEXT if exceeds(column, EXACT) else kind


def _picture(column: pa.Array) -> Kind | None:
    from unstuck.tabular.tables import pictures

    blobs = pictures.encoded(column)
    if blobs is None:
        return None
    known = [blob for blob in blobs.drop_null().slice(0, pictures.LOOKED_AT).to_pylist() if blob]
    return pictures.kind_of(known) if known and known[0].startswith(pictures.MAGIC) else None


def parquet(file: str) -> Typed:
    """A Parquet file."""
    from pyarrow import parquet

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        with parquet.ParquetFile(file, buffer_size=BUFFER) as opened:
            yield from opened.iter_batches(batch_size=size, columns=columns, use_threads=False)

    with refusing(file), parquet.ParquetFile(file) as opened:
        schema, rows = opened.schema_arrow, opened.metadata.num_rows
    return typed(file, schema, rows, read)


def arrow_file(file: str) -> Typed:
    """An Arrow file (Feather)."""

    # Memory-mapped, so that a file with one batch does not have to fit in memory.
    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(file) as mapped, ipc.open_file(mapped) as opened:
            for i in range(opened.num_record_batches):
                yield opened.get_batch(i).select(columns)

    with refusing(file), pa.memory_map(file) as mapped, ipc.open_file(mapped) as opened:
        schema = opened.schema
    return typed(file, schema, None, read)


def arrow_stream(file: str) -> Typed:
    """An Arrow stream in a file."""

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(file) as mapped, ipc.open_stream(mapped) as opened:
            for batch in opened:
                yield batch.select(columns)

    with refusing(file), pa.memory_map(file) as mapped, ipc.open_stream(mapped) as opened:
        schema = opened.schema
    return typed(file, schema, None, read)


def in_memory(data: object) -> Typed:
    """A table in memory: Arrow, pandas, polars, any object that exports the Arrow stream, or a mapping of columns."""
    table = in_memory_table(data)
    # One chunk per column, so that batches have the requested size and not that of the chunks.
    return typed("", table.schema, table.num_rows, lambda columns, size: iter(table.select(columns).to_batches(size)))


def in_memory_table(data: object) -> pa.Table:
    """Any table in memory as an Arrow table; raises TableError for other objects."""
    import sys

    pandas = sys.modules.get("pandas")
    if isinstance(data, pa.Table):
        return data
    if pandas is not None and isinstance(data, pandas.DataFrame):
        frame: Any = data
        return _from_columns({str(name): frame.iloc[:, i] for i, name in enumerate(frame)}, list(frame))
    if isinstance(data, Mapping):
        return _from_columns({str(name): values for name, values in data.items()}, list(data))
    if hasattr(data, "__arrow_c_stream__"):
        with refusing(""):
            return pa.RecordBatchReader.from_stream(data).read_all()
    raise TableError(
        f"{type(data).__name__} is not a table: pass a path, a data frame, an Arrow table or a dict of columns"
    )


def _from_columns(columns: Mapping[str, object], labels: list[object]) -> pa.Table:
    refuse_twice([str(label) for label in labels], "")
    arrays = {name: _array(name, values) for name, values in columns.items()}
    lengths = {len(array): name for name, array in arrays.items()}
    if len(lengths) > 1:
        (one, a), (other, b) = sorted(lengths.items())[:2]
        raise TableError(f"columns differ in length: {shown(a)} has {one:,} rows, {shown(b)} {other:,}")
    return pa.table(arrays)


def _array(name: str, values: object) -> pa.Array | pa.ChunkedArray:
    import numpy as np

    try:
        if not hasattr(values, "__arrow_c_array__") and not hasattr(values, "__arrow_c_stream__"):
            if not isinstance(values, list | tuple):
                values = np.asarray(values)
            if isinstance(values, np.ndarray) and values.ndim != 1:
                raise TableError(f"has {values.ndim} dimensions: a column must have one", column=name)
        array = pa.array(values, from_pandas=True)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"cannot be converted to one column: {str(error).splitlines()[0]}", column=name) from None
    return array
