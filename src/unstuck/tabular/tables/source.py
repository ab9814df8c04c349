"""What a table reads from: one file, one folder of pictures, or one object in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from unstuck.tabular.tables.kind import Kind


class Source(Protocol):
    """Anything whose rows can be read again and again."""

    @property
    def file(self) -> str:
        """Its name in messages."""
        ...

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """Every column and its kind, as found in its head."""
        ...

    @property
    def undecided(self) -> frozenset[str]:
        """Columns in whose head nothing stands: any kind would do."""
        ...

    @property
    def rows(self) -> int | None:
        """None where only reading it would tell."""
        ...

    @property
    def first_row(self) -> int:
        """The number that people give to its first row of data."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found out or decided in opening it."""
        ...

    def batches(self, kinds: Mapping[str, Kind], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns in any Arrow type that can be delivered as these kinds, about `size` rows at a time."""
        ...
