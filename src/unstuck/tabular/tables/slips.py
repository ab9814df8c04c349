"""Single cells that do not fit their column: a few become missing values, with a note; more are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from unstuck.tabular.tables import kernels as pc
from unstuck.tabular.tables.refusal import TableError, shown

if TYPE_CHECKING:
    import pyarrow as pa

    from unstuck.tabular.tables.notation import Notation

RARE = 200
"""One cell in so many may be a slip: ten times the rate of careful typing (1 in 2,000), and too rare for a word with a
meaning of its own to matter."""
REMEDY = "fix it, or use --missing WORD, --text COLUMN or --drop COLUMN"


@dataclass
class Slip:
    """The slips of one column; `row`, `word`: the first of them."""

    notation: Notation
    cells: int = 0
    bad: int = 0
    row: int = 0
    word: str = ""


@dataclass
class Slips:
    """What one pass over a source found; `row`: the number of the first row of the current batch."""

    file: str
    row: int = 1
    columns: dict[str, Slip] = field(default_factory=dict)

    def add(self, name: str, notation: Notation, text: pa.Array, numbers: pa.Array) -> None:
        """Count the texts of the current batch that are not null but have no number."""
        one = self.columns.setdefault(name, Slip(notation))
        one.cells += len(text) - text.null_count
        bad = numbers.null_count - text.null_count
        if bad and not one.bad:
            first = pc.and_(pc.is_null(numbers), pc.is_valid(text)).to_pylist().index(True)
            one.row, one.word = self.row + first, text[first].as_py()
        one.bad += bad

    def settled(self) -> Iterator[tuple[str, str]]:
        """Notes by column. Raises TableError if a column has more than a few slips."""
        for name, one in self.columns.items():
            if one.bad * RARE > one.cells:
                raise TableError(f"{_what(one)}: {REMEDY}", file=self.file, row=one.row, column=name)
            if one.bad:
                cells = f"{one.bad:,} cells" if one.bad > 1 else "one cell"
                first = "the first" if one.bad > 1 else "it"
                note = f"column {shown(name)}: {cells} read as missing; {first}, in row {one.row:,}: {_what(one)}"
                yield name, note


def _what(slip: Slip) -> str:
    if slip.notation.sort == "dates":
        how = "" if slip.notation.plain else f" written {slip.notation.written}"
        return f"{shown(slip.word)} is not a date{how}"
    return f"{shown(slip.word)} is not a number"
