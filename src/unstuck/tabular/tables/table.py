"""A table: its columns and kinds, and its rows in batches."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from unstuck.tabular.tables.kind import Kind, override
from unstuck.tabular.tables.refusal import Misfit, TableError, near, refusing, shown
from unstuck.tabular.tables.slips import Slips
from unstuck.tabular.tables.source import Source

if TYPE_CHECKING:
    import pyarrow as pa

    from unstuck.tabular.tables.delivery import Reading
    from unstuck.tabular.tables.notation import Notation

ROWS, BYTES = 8192, 1 << 25
"""Default size of a batch: rows, and at most about this many bytes."""


@dataclass(frozen=True)
class Table:
    """Rows in named columns, read on demand. Immutable; nothing is cached between reads."""

    columns: Mapping[str, Kind]
    """Name -> kind, in the order of the data."""
    rows: int | None
    """The number of rows; None if only reading tells."""
    detected: tuple[str, ...] = ()
    """What was detected or decided about the data on opening it, one line each."""
    sources: tuple[Source, ...] = field(default=(), repr=False)
    notations: Mapping[str, Notation] = field(default_factory=dict, repr=False)
    """How the texts of number and date columns are written, where they are not written as programs do."""
    missing: tuple[str, ...] = ()
    """Words for a missing value in any column, beside the usual ones for numbers and dates."""
    slips: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Notes on cells read as missing, by column, from the latest pass over the rows."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What was detected or decided about the data, one line each; complete after a pass over the rows."""
        return (*self.detected, *self.slips.values())

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of every batch; a field's metadata holds `kind` and, for images, `shape`."""
        import pyarrow as pa

        return pa.schema([pa.field(name, kind.type, metadata=kind.metadata) for name, kind in self.columns.items()])

    def batches(self, size: int | None = None) -> Iterator[pa.RecordBatch]:
        """Every row once, in order, `size` at a time (the last batch may be smaller).

        By default, a batch has 8192 rows, or fewer if rows are large (images). Memory is bounded by a few batches,
        whatever the size of the data. Raises TableError at the first value that cannot be converted; no row is skipped.
        """
        if size is None:
            row = sum(math.prod(kind.shape) if kind.shape else 8 for kind in self.columns.values())
            size = max(1, min(ROWS, BYTES // max(row, 1)))
        if size < 1:
            raise TableError(f"a batch cannot have {size} rows")
        return _regrouped(self._delivered(size), size)

    def _delivered(self, size: int) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        schema = self.schema
        if not self.columns:
            return
        readings = self._readings()
        for source in self.sources:
            slips, row = Slips(source.file), source.first_row
            for raw in _refusing_each(source.batches(self.columns, self.missing, size), source.file):
                for start in range(0, raw.num_rows, size):
                    slips.row = row + start
                    yield pa.RecordBatch.from_arrays(_columns(raw.slice(start, size), readings, slips), schema=schema)
                row += raw.num_rows
            self.slips.update(slips.settled())

    def _readings(self) -> list[Reading]:
        from unstuck.tabular.tables.delivery import Reading

        kinds = self.columns.items()
        return [Reading(name, kind, self.notations.get(name), self.missing) for name, kind in kinds]

    def select(self, names: Iterable[str]) -> Table:
        """The table with only these columns, in this order; raises TableError for an unknown one."""
        wanted = [names] if isinstance(names, str) else list(dict.fromkeys(names))
        return replace(self, columns={name: self.columns[self._known(name)] for name in wanted})

    def drop(self, names: Iterable[str]) -> Table:
        """The table without these columns; raises TableError for an unknown one."""
        unwanted = {self._known(name) for name in ([names] if isinstance(names, str) else names)}
        return replace(self, columns={name: kind for name, kind in self.columns.items() if name not in unwanted})

    def read_as(self, kinds: Mapping[str, Kind | str], notations: Mapping[str, Notation] | None = None) -> Table:
        """The table with some columns read as another kind: `table.read_as({"zip": "text"})`.

        `notations`: how another table with these columns is written; they decide where this table leaves it open.
        """
        theirs = {name: one for name, one in (notations or {}).items() if name in self.columns}
        known = {name: one for name, one in theirs.items() if self._suits(name, one)}
        return replace(self, columns=override(self.columns, kinds), notations={**self.notations, **known})

    def _suits(self, name: str, notation: Notation) -> bool:
        """Whether a notation fits the first rows at least as well as the one detected."""
        own = self.notations.get(name)
        return own is None or all(source.suits(name, notation, own) for source in self.sources)

    def _known(self, name: str) -> str:
        if name not in self.columns:
            raise TableError(f"no column {shown(name)}{near(name, self.columns)}", file=self.name)
        return name

    @property
    def name(self) -> str:
        """The source's name, for messages."""
        return self.sources[0].file if len(self.sources) == 1 else ""


def _columns(raw: pa.RecordBatch, readings: list[Reading], slips: Slips) -> list[pa.Array]:
    from unstuck.tabular.tables.delivery import delivered

    arrays: list[pa.Array] = []
    try:
        with refusing(slips.file):
            # A damaged file can yield inconsistent arrays; reading one could crash the process.
            raw.validate(full=True)
            for column, how in zip(raw.columns, readings, strict=True):
                arrays.append(delivered(column, how, slips))
    except Misfit as misfit:
        name = readings[len(arrays)].name
        raise TableError(misfit.why, file=slips.file, row=slips.row + misfit.index, column=name) from None
    return arrays


def _refusing_each(batches: Iterator[pa.RecordBatch], file: str) -> Iterator[pa.RecordBatch]:
    while True:
        with refusing(file):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _regrouped(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa

    waiting: list[pa.RecordBatch] = []
    held = 0
    for batch in batches:
        waiting, held = [*waiting, batch], held + batch.num_rows
        if held < size:
            continue
        whole = waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
        yield whole.slice(0, size)
        rest = whole.slice(size)
        waiting, held = ([rest], rest.num_rows) if rest.num_rows else ([], 0)
    if held:
        yield waiting[0] if len(waiting) == 1 else pa.concat_batches(waiting)
