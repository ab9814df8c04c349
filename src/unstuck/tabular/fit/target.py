"""Choose the task from the target's values, and say so in a note.

Text and truth values are classes; so are two distinct numbers and a few whole ones; all other numbers are regression.
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
"""Up to this many distinct whole numbers are classes ..."""
EACH = 5
"""... if each occurs this often on average."""
LONG = 32
"""Longer labels are stored as objects: a fixed-width array would reserve the longest length for every row."""
BETWEEN = re.compile(r"\s*[;|,]\s*")
"""Separates the labels within a cell."""


@dataclass(frozen=True, eq=False)
class Target:
    """The rows with a target, and their task."""

    sort: str
    names: tuple[str, ...]
    """Names of the target columns; for multilabel, of the labels."""
    rows: Array
    """Row numbers, (n,)."""
    y: Array
    """The targets of those rows, as `task` takes them: (n,) labels or (n, k) numbers."""
    task: Task
    weights: Array | None = None
    notes: tuple[str, ...] = ()
    yes: tuple[str | float, ...] = ()
    """For labels in columns of their own: the value that means yes."""

    def take(self, index: Array) -> Target:
        """Some of its rows, with the task measured on them alone."""
        y = self.y[index]
        weights = None if self.weights is None else self.weights[index]
        task = Numbers.of(y, weights, self.task.quantile) if isinstance(self.task, Numbers) else self.task
        return replace(self, rows=self.rows[index], y=y, weights=weights, task=task)

    def read(self, columns: Sequence[Array]) -> tuple[Array, Array, int]:
        """The targets of other rows: which rows have a known one, its value, and the number of rows with a class that
        did not occur in training."""
        if self.sort == "multilabel" and not self.yes:
            return np.arange(len(columns[0])), _marked(_sets(columns[0]), self.names), 0
        rows = np.flatnonzero(~np.any([missing(c) for c in columns], axis=0))
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
    """Choose the task. `columns`: (n,) numbers with NaN or objects with None. Raises TableError if nothing can be
    learned: no value in any row, only one class, a distinct text in each row, or values that do not suit the requested
    task."""
    for name, kind in zip(names, kinds, strict=True):
        if kind.name in ("image", "other"):
            raise TableError("holds neither classes nor numbers, so it cannot be the target", column=name)
    several = sort == "multilabel" and len(names) == 1
    there = np.ones(len(columns[0]), bool) if several else ~np.any([missing(c) for c in columns], axis=0)
    if weights is not None:
        there &= weights > 0
    rows = np.flatnonzero(there)
    if not len(rows):
        raise TableError("has no value in any row", column=names[0])
    columns = [column[rows] for column in columns]
    weights = None if weights is None else weights[rows]
    left = len(there) - len(rows)
    or_weight = "" if weights is None else ", or weight 0"
    why = f"{left:,} of {len(there):,} rows ignored: no target value{or_weight}"
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
        raise TableError(f"{sort} needs one target: name one, or use --task multilabel")
    y = _labelled(columns[0], kinds[0])
    found, counts = np.unique(y, return_counts=True)
    _refuse_classes(found, len(y), names[0], sort)
    notes += _rare(found, counts)
    return Target("binary" if len(found) == 2 else "multiclass", tuple(names), rows, y, Classes(found), weights, notes)


def missing(column: Array) -> Array:
    """Which cells of a column have no value, (n,) bool."""
    if column.dtype == object:
        return np.array([cell is None for cell in column], bool)
    return ~np.isfinite(column)


def _sort(names: Sequence[str], kinds: Sequence[Kind], columns: Sequence[Array]) -> tuple[str, str]:
    """The task that the values suggest, and how to override it."""
    if len(names) > 1:
        if all(len(np.unique(c)) <= 2 and _two_valued(c) for c in columns):
            return (
                "multilabel",
                "all targets have two values: multilabel, each predicted separately (--task regression: as numbers)",
            )
        return "regression", f"{len(names)} targets are predicted together as numbers"
    column, kind = columns[0], kinds[0]
    if kind.name in ("text", "boolean"):
        return "multiclass", ""
    found = np.unique(column)
    if kind.name == "date":
        return "regression", "the target is a date: predicted as days since 1970-01-01"
    whole = bool((found == np.rint(found)).all())
    if len(found) <= 2 or (whole and len(found) <= min(FEW, len(column) // EACH)):
        return "multiclass", (
            f"{shown(names[0])} has {len(found)} distinct numbers: treated as classes (--task regression: as numbers)"
        )
    if whole and len(found) <= 5 * FEW:
        return "regression", (
            f"{shown(names[0])} has {len(found)} distinct whole numbers: treated as numbers "
            "(--task multiclass: as classes)"
        )
    return "regression", ""


def _two_valued(column: Array) -> bool:
    return column.dtype == object or set(np.unique(column)) <= {0.0, 1.0}


def _numbers(column: Array, name: str) -> Array:
    if column.dtype == object:
        raise TableError("contains text: regression needs numbers", column=name)
    if column.min() == column.max():
        raise TableError(f"is {column[0]:g} in every row: nothing to learn", column=name)
    return column


def _labelled(column: Array, kind: Kind) -> Array:
    """Labels as the user wrote them: texts, truth values, whole numbers, numbers."""
    if column.dtype == object:
        longest = max(len(word) for word in set(column))
        return column if longest > LONG else column.astype(np.str_)
    if kind.name == "boolean":
        return column.astype(bool)
    whole = (column == np.rint(column)).all() and np.abs(column).max() < 2**53
    return column.astype(np.int64) if whole else column


def _refuse_classes(found: Array, rows: int, name: str, sort: str) -> None:
    if len(found) < 2:
        raise TableError(f"is {shown(found[0])} in every row: nothing to learn", column=name)
    if sort == "binary" and len(found) > 2:
        some = ", ".join(shown(label) for label in found[:3])
        raise TableError(f"has {len(found):,} classes ({some} ...): binary needs two", column=name)
    if len(found) > max(rows / 2, 3):
        raise TableError(f"has {len(found):,} distinct values in {rows:,} rows: too many for classes", column=name)


def _rare(found: Array, counts: Array) -> tuple[str, ...]:
    """Notes on rare and on dominant classes."""
    notes = []
    if len(alone := found[counts == 1]):
        what = (
            f"class {shown(alone[0])} has"
            if len(alone) == 1
            else f"{len(alone):,} classes ({shown(alone[0])} ...) have"
        )
        notes.append(f"{what} only one row: the accuracy for it cannot be measured")
    if counts.max() >= 0.9 * counts.sum():
        largest = shown(found[counts.argmax()])
        notes.append(
            f"{counts.max() / counts.sum():.1%} of the rows are {largest} (class imbalance): look at the balanced "
            "accuracy; classes are not reweighted (use --weight COLUMN)"
        )
    return tuple(notes)


def _columns(columns: Sequence[Array], names: Sequence[str]) -> tuple[Array, tuple[str | float, ...]]:
    """One label per column, present if the cell holds the larger of its two values; and those values."""
    out, yes = [], []
    for column, name in zip(columns, names, strict=True):
        found = np.unique(column)
        if len(found) != 2:
            raise TableError(f"has {len(found):,} distinct values: a label needs exactly two", column=name)
        out.append(column == found[1])
        yes.append(found[1].item() if hasattr(found[1], "item") else found[1])
    return np.stack(out, axis=1).astype(np.float32), tuple(yes)


def _one_column(column: Array, name: str) -> tuple[tuple[str, ...], Array]:
    """The labels in the cells of one column, separated by ; | or a comma."""
    if column.dtype != object:
        raise TableError("contains numbers: several labels in a cell must be text, as in a;b;c", column=name)
    sets = _sets(column)
    labels = tuple(sorted(set().union(*sets)))
    if not labels:
        raise TableError("has no label in any row", column=name)
    if len(labels) > max(len(column) / 2, 3):
        raise TableError(f"has {len(labels):,} labels in {len(column):,} rows: too many to learn", column=name)
    return labels, _marked(sets, labels)


def _sets(column: Array) -> list[set[str]]:
    return [set(filter(None, BETWEEN.split(cell or ""))) for cell in column]


def _marked(sets: Sequence[set[str]], labels: Sequence[str]) -> Array:
    """(n, k) float32: 1 if a row has the label; unknown labels are ignored."""
    place = {label: j for j, label in enumerate(labels)}
    y = np.zeros((len(sets), len(labels)), np.float32)
    for i, some in enumerate(sets):
        y[i, [place[label] for label in some if label in place]] = 1
    return y
