"""Typed sources: Parquet, Arrow files and streams, and tables in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
from pyarrow import ipc
from pyarrow import types as is_

from unstuck.tabular.tables.delivery import exceeds
from unstuck.tabular.tables.kind import OTHER, TEXT, Kind, of_type, stated
from unstuck.tabular.tables.missing import MISSING, without
from unstuck.tabular.tables.naming import distinct
from unstuck.tabular.tables.notation import EXACT, Hints, Notation, decide, settled
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.refusal import TableError, refusing, shown

BUFFER = 1 << 20
"""Bytes read at a time of a Parquet column; without it, whole row groups are read."""

Batches = Callable[[list[str], int], Iterator[pa.RecordBatch]]
"""(columns, rows at a time) -> all batches, from the start."""


LOOKED_AT = 5000
"""Rows that decide how texts are written."""


@dataclass(frozen=True)
class Typed:
    """A source with a schema, and how to read it."""

    file: str
    kinds: Mapping[str, Kind]
    undecided: frozenset[str]
    rows: int | None
    read: Batches
    notes: tuple[str, ...] = ()
    first_row: int = 1
    notations: Mapping[str, Notation] = field(default_factory=dict)
    texts: Mapping[str, pa.Array] = field(default_factory=dict, repr=False)
    """The first values of the columns that are text."""
    missing = ()

    def suits(self, name: str, notation: Notation, own: Notation) -> bool:
        """Whether a notation fits the first rows of a column at least as well as its own."""
        from unstuck.tabular.tables.notation import share

        if name not in self.texts:
            return True
        text = without(self.texts[name], MISSING).drop_null()
        return share(notation, text) >= share(own, text)

    def batches(self, kinds: Mapping[str, Kind], missing: tuple[str, ...], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns, in their stored types."""
        for batch in self.read(list(kinds), size):
            yield batch.select(list(kinds))


def typed(file: str, schema: pa.Schema, rows: int | None, read: Batches, origin: Origin | None = None) -> Typed:
    """A source with the kinds of its columns, from their types and, if those are ambiguous, from the first rows."""
    with refusing(file):
        if not schema.names:
            raise TableError("has no columns", file=file)
        if rows == 0:
            raise TableError("has columns but no rows", file=file)
        return _looked_at(file, schema, rows, read, origin or Origin())


def _looked_at(file: str, schema: pa.Schema, rows: int | None, read: Batches, origin: Origin) -> Typed:
    kinds = {field.name: stated(field) or of_type(field.type) for field in schema}
    doubtful = [f.name for f in schema if kinds[f.name] == OTHER or (is_.is_integer(f.type) and f.type.bit_width == 64)]
    head = next(read(doubtful, 256), None) if doubtful else None
    notes = list(origin.notes)
    if head is not None:
        head.validate(full=True)
        for name in doubtful:
            kinds[name] = _by_look(head.column(name), kinds[name])
            if kinds[name] == TEXT:
                notes.append(f"column {shown(name)}: whole numbers beyond 2^53 are identifiers: read as text")
    undecided = frozenset(field.name for field in schema if is_.is_null(field.type))
    texts = _texts([f.name for f in schema if kinds[f.name] == TEXT and _is_text(f.type)], read)
    if not texts:
        return Typed(file, kinds, undecided, rows, read, tuple(notes), origin.first_row)
    from unstuck.tabular.tables.head import noted

    hints = Hints(order=origin.order, missing=origin.missing, declared=origin.declared)
    loose = replace(hints, declared=False)
    tried = {name: decide(column, loose if name in origin.loose else hints) for name, column in texts.items()}
    found = settled(tried, hints)
    kinds |= {name: one.kind for name, one in found.items()}
    notations = {name: one.notation for name, one in found.items() if one.notation is not None}
    return Typed(
        file, kinds, undecided, rows, read, (*notes, *noted(found)), origin.first_row, notations, texts
    )  # fmt: skip


def _is_text(type_: pa.DataType) -> bool:
    return is_.is_string(type_) or is_.is_large_string(type_) or is_.is_string_view(type_)


def _texts(names: list[str], read: Batches) -> dict[str, pa.Array]:
    """The first values of text columns."""
    head = next(read(names, LOOKED_AT), None) if names else None
    if head is None:
        return {}
    head.validate(full=True)
    return {name: head.column(name).slice(0, LOOKED_AT).cast(pa.string()) for name in names}


def of_table(file: str, table: pa.Table, notes: Sequence[str] = (), origin: Origin | None = None) -> Typed:
    """A table in memory, with where it comes from."""
    origin = origin or Origin()
    origin = replace(origin, notes=(*origin.notes, *notes))
    # One chunk per column, so that batches have the requested size and not that of the chunks.
    read = lambda columns, size: iter(table.select(columns).combine_chunks().to_batches(size))
    return typed(file, table.schema, table.num_rows, read, origin)


def of_columns(
    file: str, names: Sequence[str], columns: Sequence[pa.Array], notes: Sequence[str], origin: Origin
) -> Typed:
    """Columns whose texts may be anything."""
    known, told = distinct(names)
    table = pa.table(list(columns), names=list(known))
    return of_table(file, table, (*notes, *told), replace(origin, declared=False))


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
