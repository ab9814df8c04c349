"""Write predictions a batch at a time: atomically to a file, or as CSV to a stream."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa

from unstuck.tabular.tables import TableError
from unstuck.tabular.tables.refusal import refusing
from unstuck.tabular.tables.writing import ARROW, PARQUET, TEXT

Put = Callable[[pa.RecordBatch], None]


def check(path: str | None) -> None:
    """Raise TableError if the suffix is not a known format."""
    if path is not None and Path(path).suffix.lower() not in (*TEXT, *PARQUET, *ARROW):
        raise TableError("unknown format: use .csv, .tsv, .parquet or .arrow", file=path)


@contextmanager
def writer(path: str | None, schema: pa.Schema, stream: TextIO) -> Iterator[Put]:
    """A function that writes batches of this schema. Raises TableError if they cannot be written."""
    if path is None:
        yield _lines(lambda text: stream.write(text), schema, ",")
        stream.flush()
        return
    target = Path(path).resolve()  # keep a link and replace the file it points to
    beside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        with refusing(path):
            with beside.open("xb") as file:
                yield from _putting(file, schema, target.suffix.lower())
                file.flush()
                os.fsync(file.fileno())
            beside.replace(target)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _putting(file: Any, schema: pa.Schema, suffix: str) -> Iterator[Put]:
    if suffix in TEXT:
        yield _lines(lambda text: file.write(text.encode("utf-8")), schema, TEXT[suffix])
    elif suffix in PARQUET:
        from pyarrow import parquet

        with parquet.ParquetWriter(file, schema) as writer:
            yield writer.write_batch
    else:
        from pyarrow import ipc

        with ipc.new_file(file, schema) as writer:
            yield writer.write_batch


def _lines(write: Callable[[str], object], schema: pa.Schema, delimiter: str) -> Put:
    """CSV in the dialect of spreadsheets: quoted only if necessary."""
    room = io.StringIO()
    rows = csv.writer(room, delimiter=delimiter, lineterminator="\n")
    rows.writerow(schema.names)

    def put(batch: pa.RecordBatch) -> None:
        rows.writerows(zip(*(_cells(column) for column in batch.columns), strict=True))
        write(room.getvalue())
        room.seek(0)
        room.truncate()

    return put


def _cells(column: pa.Array) -> list[Any]:
    kind = column.type
    if pa.types.is_boolean(kind):
        return ["" if cell is None else str(cell).lower() for cell in column.to_pylist()]
    if pa.types.is_floating(kind):
        return [_number(cell) for cell in column.to_pylist()]
    return column.to_pylist()


def _number(value: float | None) -> str:
    """Nine digits, more than float32 holds; whole numbers without a fraction."""
    return "" if value is None or value != value else f"{value:.9g}" if abs(value) < 1e15 else repr(value)
