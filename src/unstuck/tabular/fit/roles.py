"""The role of each column of a table: input, target, weight, or unused."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from unstuck.tabular.fit.calendar import PARTS
from unstuck.tabular.tables import Kind, Table, TableError
from unstuck.tabular.tables.refusal import near, shown

LISTED = 5
"""Maximum number of names in a message."""


@dataclass(frozen=True)
class Roles:
    """Columns by role; `inputs` in the order of the data."""

    inputs: Mapping[str, Kind]
    targets: tuple[str, ...]
    weight: str | None = None
    notes: tuple[str, ...] = ()
    calendar: bool = True
    """Whether a date has inputs for its month, weekday and hour."""
    group: str | None = None
    """The column whose values are kept apart; no input."""
    time: str | None = None
    """The column whose order is kept; an input too, unless it is dropped."""

    @property
    def beside(self) -> tuple[str, ...]:
        """The columns that are neither inputs nor targets but read with them, and the time."""
        return tuple(name for name in (self.weight, self.group, self.time) if name is not None)

    @property
    def numbers(self) -> dict[str, Kind]:
        """Inputs that are numbers, dates, truth values or images."""
        return {name: kind for name, kind in self.inputs.items() if kind.name != "text"}

    @property
    def words(self) -> tuple[str, ...]:
        """Inputs that are text."""
        return tuple(name for name, kind in self.inputs.items() if kind.name == "text")

    @property
    def width(self) -> int:
        """The number of numeric inputs of a row."""
        return sum(self.parts(kind) for kind in self.numbers.values())

    def parts(self, kind: Kind) -> int:
        """The number of inputs of a column of numbers, dates or images."""
        return 1 + len(PARTS) if self.calendar and kind.name == "date" else math.prod(kind.shape)

    def names(self) -> tuple[str, ...]:
        """The names of the frame's columns: every number, the pixels of an image and the parts of a date one by one,
        then the texts."""
        return (*(part for name, kind in self.numbers.items() for part in self._names(name, kind)), *self.words)

    def _names(self, name: str, kind: Kind) -> Iterator[str]:
        if kind.shape:
            yield from (f"{name}[{i}]" for i in range(math.prod(kind.shape)))
            return
        yield name
        if self.calendar and kind.name == "date":
            yield from (f"{name}: {part}" for part in PARTS)

    def moments(self) -> frozenset[str]:
        """The names of the frame's columns that hold dates or their parts."""
        dates = {name: kind for name, kind in self.numbers.items() if kind.name == "date"}
        return frozenset(part for name, kind in dates.items() for part in self._names(name, kind))


def roles(
    table: Table, targets: Sequence[str], drop: Iterable[str] = (), weight: str | None = None,
    group: str | None = None, time: str | None = None,
) -> Roles:  # fmt: skip
    """Assign the roles. Raises TableError for an unknown column, one with two roles, or if no input is left."""
    used = (*targets, *([weight] if weight is not None else ()))
    unwanted = set(drop)
    apart = [name for name in (group, time) if name is not None]
    for name in (*used, *apart, *unwanted):
        if name not in table.columns:
            raise TableError(f"no column {shown(name)}{near(name, table.columns)}", file=table.name)
    if clash := unwanted & set(used):
        raise TableError(f"column {shown(clash.pop())} is both dropped and used", file=table.name)
    if weight is not None and table.columns[weight].name not in ("number", "boolean"):
        raise TableError(
            f"column {shown(weight)} is {table.columns[weight]}: a weight must be a number", file=table.name
        )
    if weight in targets:
        raise TableError(f"column {shown(weight)} cannot be both the target and the weight", file=table.name)
    for name in apart:
        _check_apart(table, name, name == time, used)
    out = {*unwanted, *used, group}
    left = {name: kind for name, kind in table.columns.items() if name not in out}
    odd = [name for name, kind in left.items() if kind.name == "other"]
    inputs = {name: kind for name, kind in left.items() if kind.name != "other"}
    if not inputs:
        raise TableError("no input column is left", file=table.name)
    notes = (f"ignored, because they hold lists or structures: {listed(odd)}",) if odd else ()
    return Roles(inputs, tuple(targets), weight, notes, group=group, time=time)


def _check_apart(table: Table, name: str, time: bool, used: Sequence[str]) -> None:
    kind = table.columns[name]
    if name in used:
        raise TableError(f"column {shown(name)} has two roles", file=table.name)
    if kind.name in ("image", "other") or (time and kind.name not in ("number", "date")):
        wanted = "a time must be a number or a date" if time else "a group must be a word or a number"
        raise TableError(f"column {shown(name)} is {kind}: {wanted}", file=table.name)


def listed(names: Sequence[str]) -> str:
    """Some names, and the number of others."""
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(shown(name) for name in names[:LISTED]) + more
