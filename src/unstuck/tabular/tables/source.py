"""The interface of a source: one file, one folder of images, or one object in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from unstuck.tabular.tables.kind import Kind


class Source(Protocol):
    """Something whose rows can be read any number of times."""

    @property
    def file(self) -> str:
        """The name used in messages."""
        ...

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kind of every column, from the first rows."""
        ...

    @property
    def undecided(self) -> frozenset[str]:
        """Columns without a value in the first rows: their kind is a guess."""
        ...

    @property
    def rows(self) -> int | None:
        """The number of rows; None if only reading tells."""
        ...

    @property
    def first_row(self) -> int:
        """The number of the first row of data as a spreadsheet shows it."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was detected or decided on opening it."""
        ...

    def batches(self, kinds: Mapping[str, Kind], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns, in any Arrow type that can be converted to these kinds, about `size` rows at a time."""
        ...
