"""Load a table into memory: numbers in one array, words in lists, targets and weights beside them.

Arrow's conversion to numpy imports pandas if it is installed, which takes as long as training on a small table; the
buffers are therefore read directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from unstuck.tabular.fit.calendar import parts
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.tables import Kind, Table, TableError

Array = np.ndarray
Told = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Loaded:
    """n rows in memory."""

    frame: Frame
    targets: tuple[Array, ...]
    """Per target column (n,): float64 with NaN, or objects (str, None where missing)."""
    weights: Array | None = None
    """(n,) float64."""
    group: Array | None = None
    """(n,) numbers or objects, as targets are."""
    time: Array | None = None
    """(n,) float64."""

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, index: Array) -> Loaded:
        """Some rows."""
        more = (None if one is None else one[index] for one in (self.weights, self.group, self.time))
        return Loaded(self.frame.take(index), tuple(t[index] for t in self.targets), *more)


@dataclass
class _Filling:
    """The arrays of n rows, filled batch by batch."""

    roles: Roles
    numbers: Array
    words: list[list[str | None]]
    targets: list[list[Array]]
    beside: dict[str, list[Array]]
    """The weight, the group and the time."""
    at: int = 0
    known: list[dict[str, str]] = field(default_factory=list)

    def add(self, batch: Any) -> None:
        part = self.numbers[self.at : self.at + batch.num_rows]
        fill(part, batch, self.roles)
        for words, name in zip(self.words, self.roles.words, strict=True):
            words += texts(batch.column(name))
        for values, name in zip(self.targets, self.roles.targets, strict=True):
            values.append(cells(batch.column(name)))
        for name, found in self.beside.items():
            found.append(cells(batch.column(name)))
        self.at += batch.num_rows


def gather(table: Table, roles: Roles, told: Told = lambda rows: None) -> Loaded:
    """Read all rows. `told` is called with the number of rows read so far. Raises TableError."""
    wanted = dict.fromkeys([*roles.inputs, *roles.targets, *roles.beside])
    batches = table.select(wanted).batches()
    rows = table.rows
    if rows is None:  # keep the Arrow batches until the number of rows is known
        waiting = list(_counted(batches, told))
        rows, batches = sum(batch.num_rows for batch in waiting), iter(waiting)
    filling = _Filling(
        roles, np.empty((rows, roles.width), sort_of(roles)), [[] for _ in roles.words], [[] for _ in roles.targets],
        {name: [] for name in roles.beside},
    )  # fmt: skip
    for batch in batches:
        filling.add(batch)
        told(filling.at)
    if not filling.at:
        raise TableError("has no rows", file=table.name)
    beside = {name: np.concatenate(found) for name, found in filling.beside.items()}
    weights = None if roles.weight is None else _checked(beside[roles.weight], roles.weight, table)
    group, time = (None if name is None else beside[name] for name in (roles.group, roles.time))
    targets = tuple(np.concatenate(values) for values in filling.targets)
    frame = Frame(filling.numbers[: filling.at], tuple(filling.words), roles.names())
    return Loaded(frame, targets, weights, group, time)


def _counted(batches: Iterator[Any], told: Told) -> Iterator[Any]:
    rows = 0
    for batch in batches:
        rows += batch.num_rows
        told(rows)
        yield batch


def sort_of(roles: Roles) -> type:
    """uint8 if all inputs are images, else float64."""
    kinds = {kind.name for kind in roles.numbers.values()}
    return np.uint8 if kinds == {"image"} else np.float64


def frame_of(batch: Any, roles: Roles) -> Frame:
    """The inputs of a batch."""
    numbers = np.empty((batch.num_rows, roles.width), sort_of(roles))
    fill(numbers, batch, roles)
    return Frame(numbers, tuple(texts(batch.column(name)) for name in roles.words), roles.names())


def fill(numbers: Array, batch: Any, roles: Roles) -> None:
    """Write a batch's numbers and pixels into (n, roles.width)."""
    at = 0
    for name, kind in roles.numbers.items():
        width = roles.parts(kind)
        numbers[:, at : at + width] = _cells(batch.column(name), kind, width)
        at += width


def _cells(column: Any, kind: Kind, width: int) -> Array:
    if kind.shape:
        return pixels(column, width)
    found = reals(column)
    return found[:, None] if width == 1 else np.column_stack([found, parts(found)])


def reals(column: Any) -> Array:
    """A float64 column as (n,), NaN where missing."""
    found = (
        np.frombuffer(column.buffers()[1], np.float64)[column.offset : column.offset + len(column)]
        if len(column)
        else np.zeros(0)
    )
    return np.where(_holes(column), np.nan, found) if column.null_count else found


def _holes(column: Any) -> Array:
    bits = np.unpackbits(np.frombuffer(column.buffers()[0], np.uint8), bitorder="little")
    return bits[column.offset : column.offset + len(column)] == 0


def pixels(column: Any, width: int) -> Array:
    """Images as (n, width) uint8; raises TableError if one is missing."""
    if column.null_count:
        raise TableError("an image is missing")
    flat = np.frombuffer(column.values.buffers()[1], np.uint8)
    start = (column.offset + 0) * width + column.values.offset
    return flat[start : start + len(column) * width].reshape(len(column), width)


def texts(column: Any) -> list[str | None]:
    """A text column; equal words share one object, since one per row would fill the memory."""
    known: dict[str | None, str | None] = {}
    return [known.setdefault(word, word) for word in column.to_pylist()]


def cells(column: Any) -> Array:
    """The values of a target: numbers, or objects if they are text."""
    if str(column.type) == "double":
        return reals(column)
    return np.array([*texts(column), None], object)[:-1]


def _checked(weights: Array, name: str, table: Table) -> Array:
    wrong = ~np.isfinite(weights) | (weights < 0)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        what = (
            "a weight is missing"
            if np.isnan(weights[first])
            else f"{weights[first]:g} is not a valid weight: it must be finite and not negative"
        )
        raise TableError(what, file=table.name, row=row_in_file(table, first), column=name)
    if not weights.any():
        raise TableError("every weight is 0", file=table.name, column=name)
    return weights


def row_in_file(table: Table, row: int) -> int | None:
    """The row's number as shown in a spreadsheet, if the data is one file."""
    return table.sources[0].first_row + row if len(table.sources) == 1 else None
