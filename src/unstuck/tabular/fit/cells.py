"""Parse the cells of a column as numbers (float) or words (str, None where missing)."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
GONE = ("NAType", "NaTType")
"""The types of pandas' missing values."""


@dataclass(frozen=True)
class Column:
    """n cells as stored by their container; `declared`: the container declares their type."""

    name: str
    cells: Array
    declared: bool


def read(column: Column) -> Array:
    """Numbers if all cells are, otherwise words: (n,) of a real dtype, or of objects."""
    if column.cells.dtype.kind in "buifmM":
        return as_numbers(column)
    if column.declared and not _all_real(column.cells):
        return as_words(column)
    try:
        return as_numbers(column)
    except ValueError:
        return as_words(column)


def as_numbers(column: Column) -> Array:
    """(n,) of a real dtype, NaN where missing. Raises ValueError if a cell is not a number."""
    kind = column.cells.dtype.kind
    if kind in "buif":
        return column.cells
    if kind in "mM":
        return _seconds(column.cells)
    if kind == "c":
        raise ValueError(f"Complex data not supported\n{column.cells}\n")
    cells = _emptied(column.cells)
    dates = _dated(cells)
    if dates is not None:
        return _seconds(dates)
    try:
        return cells.astype(np.float64)
    except (ValueError, TypeError):
        wrong = next(cell for cell in cells if not _reads_as_number(cell))
        raise ValueError(f"column {column.name!r} was numeric in training but contains {wrong!r}") from None


def as_words(column: Column) -> Array:
    """(n,) of str, None where missing. Raises TypeError for a cell that is neither text nor a number."""
    cells = _emptied(column.cells)
    return np.array([None if cell is None else _word(cell, column.name) for cell in cells] + [None], object)[:-1]


def _seconds(cells: Array) -> Array:
    """Dates and times as seconds since 1970, durations in seconds; NaN where missing."""
    unit = "datetime64[us]" if cells.dtype.kind == "M" else "timedelta64[us]"
    whole = cells.astype(unit)
    return np.where(np.isnat(whole), np.nan, whole.astype(np.int64) / 1e6)


def _emptied(cells: Array) -> Array:
    """As objects, with None for every kind of missing value."""
    out = cells.astype(object)
    out[[_missing(cell) for cell in out]] = None
    return out


def _missing(cell: Any) -> bool:
    if cell is None or type(cell).__name__ in GONE:
        return True
    return isinstance(cell, float) and cell != cell


def _dated(cells: Array) -> Array | None:
    """As dates if all cells are dates; None otherwise."""
    some = [cell for cell in cells if cell is not None]
    if not some or not all(isinstance(cell, datetime.date | np.datetime64) for cell in some):
        return None
    naive = [cell.replace(tzinfo=None) if isinstance(cell, datetime.datetime) else cell for cell in cells]
    return np.array(naive, "datetime64[us]")


def _all_real(cells: Array) -> bool:
    return all(_missing(cell) or isinstance(cell, int | float | np.number | np.bool_) for cell in cells)


def _reads_as_number(cell: Any) -> bool:
    try:
        float(cell if cell is not None else 0)
    except (ValueError, TypeError):
        return False
    return True


def _word(cell: Any, column: str) -> str:
    if isinstance(cell, str):
        return str(cell)
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if isinstance(cell, float | np.floating) and float(cell).is_integer():
        return str(int(cell))  # pandas stores a category 3 as 3.0 in a column with missing values
    if isinstance(cell, int | float | np.number | np.bool_ | datetime.date | np.datetime64):
        return str(cell)
    raise TypeError(f"column {column!r} holds a {type(cell).__name__}: argument must be a string or a number")
