"""What is to be learned, chosen from the target's own values and said in a note.

Text and truth values name classes; two different numbers do, and few whole ones; all other numbers are numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.task import Classes, Labels, Numbers, Task
from unstuck.tabular.tables import Kind, TableError
from unstuck.tabular.tables.refusal import shown

Array = np.ndarray
FEW = 20
"""Up to so many different whole numbers are classes ..."""
EACH = 5
"""... if each of them stands in so many rows on average."""
LONG = 32
"""Labels longer than this are held as objects: an array would give every row the room of the longest."""
BETWEEN = re.compile(r"\s*[;|,]\s*")
"""What divides the labels of a cell that names several."""


@dataclass(frozen=True, eq=False)
class Target:
    """The rows whose target is there, and what it is."""

    sort: str
    names: tuple[str, ...]
    """Of the columns; of the labels for multilabel."""
    rows: Array
    """Row numbers, (n,)."""
    y: Array
    """Of those rows, as `task` takes it: (n,) labels or (n, k) numbers."""
    task: Task
    weights: Array | None = None
    notes: tuple[str, ...] = ()
    yes: tuple[str | float, ...] = ()
    """Of labels that have a column each: the value that says so."""

    def take(self, index: Array) -> Target:
        """Some of its rows, and a task measured on them alone."""
        y = self.y[index]
        weights = None if self.weights is None else self.weights[index]
        task = Numbers.of(y, weights) if self.sort == "regression" else self.task
        return replace(self, rows=self.rows[index], y=y, weights=weights, task=task)

    def read(self, columns: Sequence[Array]) -> tuple[Array, Array, int]:
        """Other rows' targets: which of the rows have one that is known, what it is, and how many have a class that
        was never seen."""
        if self.sort == "multilabel" and not self.yes:
            return np.arange(len(columns[0])), _marked(_sets(columns[0]), self.names), 0
        rows = np.flatnonzero(~np.any([_missing(c) for c in columns], axis=0))
        columns = [column[rows] for column in columns]
        if self.sort == "regression":
            return rows, np.stack(columns, axis=1), 0
        if self.sort == "multilabel":
            y = [column == yes for column, yes in zip(columns, self.yes, strict=True)]
            return rows, np.stack(y, axis=1).astype(np.float32), 0
        assert isinstance(self.task, Classes)
        place = {label: i for i, label in enumerate(self.task.labels.tolist())}
        at = np.array([place.get(cell, -1) for cell in columns[0].tolist()], np.int64)
        known = at >= 0
        return rows[known], self.task.labels[at[known]], int((~known).sum())


def target(
    names: Sequence[str],
    kinds: Sequence[Kind],
    columns: Sequence[Array],
    weights: Array | None = None,
    sort: str | None = None,
) -> Target:
    """Choose the task. `columns`: (n,) numbers with NaN or objects with None. Raises TableError where nothing can be
    learned: no value in any row, one class only, a text for each row, or another sort than the values allow."""
    for name, kind in zip(names, kinds, strict=True):
        if kind.name in ("image", "other"):
            raise TableError("holds no classes and no numbers, so it cannot be the target", column=name)
    several = sort == "multilabel" and len(names) == 1
    there = np.ones(len(columns[0]), bool) if several else ~np.any([_missing(c) for c in columns], axis=0)
    if weights is not None:
        there &= weights > 0
    rows = np.flatnonzero(there)
    if not len(rows):
        raise TableError("has no value in any row", column=names[0])
    columns = [column[rows] for column in columns]
    weights = None if weights is None else weights[rows]
    left = len(there) - len(rows)
    or_weight = "" if weights is None else ", or their weight is 0"
    why = f"{left:,} of {len(there):,} rows left out: the target has no value there{or_weight}"
    notes = (why,) if left else ()
    sort, why = (sort, "") if sort else _sort(names, kinds, columns)
    notes += (why,) if why else ()
    if sort == "regression":
        y = np.stack([_numbers(c, name) for c, name in zip(columns, names, strict=True)], axis=1)
        return Target(sort, tuple(names), rows, y, Numbers.of(y, weights), weights, notes)
    if sort == "multilabel":
        if several:
            labels, y = _one_column(columns[0], names[0])
            return Target(sort, labels, rows, y, Labels(labels), weights, notes)
        y, yes = _columns(columns, names)
        return Target(sort, tuple(names), rows, y, Labels(tuple(names)), weights, notes, yes)
    if len(names) > 1:
        raise TableError(f"several targets are {sort} only one at a time: name one, or use multilabel")
    y = _labelled(columns[0], kinds[0])
    found, counts = np.unique(y, return_counts=True)
    _refuse_classes(found, len(y), names[0], sort)
    notes += _rare(found, counts)
    return Target("binary" if len(found) == 2 else "multiclass", tuple(names), rows, y, Classes(found), weights, notes)


def _missing(column: Array) -> Array:
    if column.dtype == object:
        return np.array([cell is None for cell in column], bool)
    return ~np.isfinite(column)


def _sort(names: Sequence[str], kinds: Sequence[Kind], columns: Sequence[Array]) -> tuple[str, str]:
    """The sort that the values suggest, and how to say otherwise."""
    if len(names) > 1:
        if all(len(np.unique(c)) <= 2 and _two_valued(c) for c in columns):
            return (
                "multilabel",
                "the targets are yes or no: labels, of which a row may have any number (else: --task regression)",
            )
        return "regression", f"{len(names)} targets are learned as numbers side by side"
    column, kind = columns[0], kinds[0]
    if kind.name in ("text", "boolean"):
        return "multiclass", ""
    found = np.unique(column)
    if kind.name == "date":
        return "regression", "the target is a date: it is learned as days since 1970-01-01"
    whole = bool((found == np.rint(found)).all())
    if len(found) <= 2 or (whole and len(found) <= min(FEW, len(column) // EACH)):
        return "multiclass", (
            f"{shown(names[0])} holds {len(found)} different numbers: they are taken for classes "
            "(--task regression takes them for numbers)"
        )
    if whole and len(found) <= 5 * FEW:
        return "regression", (
            f"{shown(names[0])} holds {len(found)} different whole numbers: they are taken for numbers "
            "(--task multiclass takes them for classes)"
        )
    return "regression", ""


def _two_valued(column: Array) -> bool:
    return column.dtype == object or set(np.unique(column)) <= {0.0, 1.0}


def _numbers(column: Array, name: str) -> Array:
    if column.dtype == object:
        raise TableError("holds text, and a regression needs numbers", column=name)
    if column.min() == column.max():
        raise TableError(f"is {column[0]:g} in every row: there is nothing to learn", column=name)
    return column


def _labelled(column: Array, kind: Kind) -> Array:
    """Labels as the person wrote them: texts, truth values, whole numbers, numbers."""
    if column.dtype == object:
        longest = max(len(word) for word in set(column))
        return column if longest > LONG else column.astype(np.str_)
    if kind.name == "boolean":
        return column.astype(bool)
    whole = (column == np.rint(column)).all() and np.abs(column).max() < 2**53
    return column.astype(np.int64) if whole else column


def _refuse_classes(found: Array, rows: int, name: str, sort: str) -> None:
    if len(found) < 2:
        raise TableError(f"is {shown(found[0])} in every row: there is nothing to tell apart", column=name)
    if sort == "binary" and len(found) > 2:
        some = ", ".join(shown(label) for label in found[:3])
        raise TableError(f"has {len(found):,} classes ({some} ...), and binary means two", column=name)
    if len(found) > max(rows / 2, 3):
        raise TableError(
            f"has {len(found):,} different values in {rows:,} rows: too many to be classes of anything", column=name
        )


def _rare(found: Array, counts: Array) -> tuple[str, ...]:
    """What to know about classes of very different sizes."""
    notes = []
    if len(alone := found[counts == 1]):
        what = (
            f"class {shown(alone[0])} has"
            if len(alone) == 1
            else f"{len(alone):,} classes ({shown(alone[0])} ...) have"
        )
        notes.append(f"{what} a single row: nobody can say how well it is told apart")
    if counts.max() >= 0.9 * counts.sum():
        largest = shown(found[counts.argmax()])
        notes.append(
            f"{counts.max() / counts.sum():.1%} of the rows are {largest}: look at the balanced accuracy; "
            "no class was weighed up (a column of weights would: --weight)"
        )
    return tuple(notes)


def _columns(columns: Sequence[Array], names: Sequence[str]) -> tuple[Array, tuple[str | float, ...]]:
    """A label per column, that is there where the cell holds the larger of its two values: which those are, too."""
    out, yes = [], []
    for column, name in zip(columns, names, strict=True):
        found = np.unique(column)
        if len(found) != 2:
            raise TableError(f"holds {len(found):,} different values, and a label is there or not", column=name)
        out.append(column == found[1])
        yes.append(found[1].item() if hasattr(found[1], "item") else found[1])
    return np.stack(out, axis=1).astype(np.float32), tuple(yes)


def _one_column(column: Array, name: str) -> tuple[tuple[str, ...], Array]:
    """The labels that cells name, divided by ; | or a comma."""
    if column.dtype != object:
        raise TableError("holds numbers; several labels in a cell are text, as in a;b;c", column=name)
    sets = _sets(column)
    labels = tuple(sorted(set().union(*sets)))
    if not labels:
        raise TableError("names no label in any row", column=name)
    if len(labels) > max(len(column) / 2, 3):
        raise TableError(f"names {len(labels):,} labels in {len(column):,} rows: too many to learn", column=name)
    return labels, _marked(sets, labels)


def _sets(column: Array) -> list[set[str]]:
    return [set(filter(None, BETWEEN.split(cell or ""))) for cell in column]


def _marked(sets: Sequence[set[str]], labels: Sequence[str]) -> Array:
    """(n, k) float32: 1 where a row has the label; labels that are not known are passed over."""
    place = {label: j for j, label in enumerate(labels)}
    y = np.zeros((len(sets), len(labels)), np.float32)
    for i, some in enumerate(sets):
        y[i, [place[label] for label in some if label in place]] = 1
    return y
