"""The interface of a source: one file, one folder of images, or one object in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from unstuck.tabular.tables.kind import Kind
    from unstuck.tabular.tables.notation import Notation


class Typeless:
    """A source that holds no texts that are read as numbers or dates."""

    notations: Mapping[str, Notation] = {}
    missing: tuple[str, ...] = ()

    def suits(self, name: str, notation: Notation, own: Notation) -> bool:
        """There is nothing to decide."""
        return True


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

    @property
    def notations(self) -> Mapping[str, Notation]:
        """How the texts of its number and date columns are written."""
        ...

    @property
    def missing(self) -> tuple[str, ...]:
        """Words for a missing value that the data itself shows."""
        ...

    def suits(self, name: str, notation: Notation, own: Notation) -> bool:
        """Whether a notation fits the first rows of a column at least as well as its own."""
        ...

    def batches(self, kinds: Mapping[str, Kind], missing: tuple[str, ...], size: int) -> Iterator[pa.RecordBatch]:
        """The named columns, in any Arrow type that can be converted to these kinds, about `size` rows at a time.
        `missing`: more words for a missing value."""
        ...
