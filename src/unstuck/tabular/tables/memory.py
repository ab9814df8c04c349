"""Tables in memory: Arrow, pandas, polars, any object that exports the Arrow stream, or a mapping of columns."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa

from unstuck.tabular.tables.naming import distinct
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.refusal import TableError, refusing, shown
from unstuck.tabular.tables.typed import Typed, of_table


def in_memory(data: object, origin: Origin | None = None) -> Typed:
    """A table in memory."""
    table = in_memory_table(data)
    names, notes = distinct(table.column_names)
    dtypes = getattr(data, "dtypes", ()) if hasattr(data, "iloc") else ()
    loose = {names[i] for i, dtype in enumerate(dtypes) if str(dtype) == "object"}
    origin = replace(origin or Origin(), loose=frozenset(loose))
    return of_table("", table.rename_columns(list(names)), notes, origin)


def in_memory_table(data: object) -> pa.Table:
    """Any table in memory as an Arrow table; raises TableError for other objects."""
    pandas = sys.modules.get("pandas")
    if isinstance(data, pa.Table):
        return data
    if pandas is not None and isinstance(data, pandas.DataFrame):
        frame: Any = data
        return _from_columns((str(name), _series(frame.iloc[:, i])) for i, name in enumerate(frame.columns))
    if isinstance(data, Mapping):
        return _from_columns((str(name), values) for name, values in data.items())
    if _is_lazy(data):
        data = data.collect()  # type: ignore[attr-defined]
    if hasattr(data, "__arrow_c_stream__"):
        with refusing(""):
            return pa.RecordBatchReader.from_stream(data).read_all()
    raise TableError(
        f"{type(data).__name__} is not a table: pass a path, a data frame, an Arrow table or a dict of columns"
    )


def _is_lazy(data: object) -> bool:
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(data, polars.LazyFrame)


def _series(series: Any) -> Any:
    """A pandas column whose type Arrow has not: periods as dates, intervals as their middle."""
    kind = str(series.dtype)
    if kind.startswith("period"):
        return series.dt.to_timestamp()
    if kind.startswith("interval"):
        return _middle(series.array)
    if kind == "category" and series.cat.categories.dtype.kind in "iufb":
        return series.cat.rename_categories([_word(one) for one in series.cat.categories])
    if kind == "category" and str(series.cat.categories.dtype).startswith("interval"):
        middle = _middle(series.cat.categories.array)
        return middle.take(series.cat.codes, allow_fill=True) if hasattr(middle, "take") else middle
    return series


def _word(category: Any) -> str:
    """A category as a word; pandas makes 3 to 3.0 where a value is missing."""
    return str(int(category)) if isinstance(category, float) and category.is_integer() else str(category)


def _middle(intervals: Any) -> Any:
    """The middle of intervals; of one without an end, one unit beyond its other end."""
    import pandas as pd

    left, right = pd.Series(intervals.left), pd.Series(intervals.right)
    if left.dtype.kind not in "iuf":
        return left + (right - left) / 2
    left, right = left.astype(float), right.astype(float)
    left, right = left.mask(left == -float("inf"), right - 2), right.mask(right == float("inf"), left + 2)
    return (left + right) / 2


def _from_columns(columns: Iterable[tuple[str, Any]]) -> pa.Table:
    found = [(name, _array(name, values)) for name, values in columns]
    lengths = {len(array): name for name, array in found}
    if len(lengths) > 1:
        (one, a), (other, b) = sorted(lengths.items())[:2]
        raise TableError(f"columns differ in length: {shown(a)} has {one:,} rows, {shown(b)} {other:,}")
    return pa.table([array for _, array in found], names=[name for name, _ in found])


def _array(name: str, values: Any) -> pa.Array | pa.ChunkedArray:
    import numpy as np

    try:
        if not hasattr(values, "__arrow_c_array__") and not hasattr(values, "__arrow_c_stream__"):
            if not isinstance(values, list | tuple):
                values = np.asarray(values)
            if isinstance(values, np.ndarray) and values.ndim != 1:
                raise TableError(f"has {values.ndim} dimensions: a column must have one", column=name)
        return _converted(values)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"cannot be converted to one column: {str(error).splitlines()[0]}", column=name) from None


def _converted(values: Any) -> pa.Array | pa.ChunkedArray:
    """As Arrow infers it; a column of numbers, dates and texts together as text."""
    from unstuck.tabular.tables.cells import column

    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError):
        cells = [None if _gone(cell) else cell for cell in values]
        if not all(cell is None or isinstance(cell, SIMPLE) for cell in cells):
            raise
        return column(cells)


SIMPLE = (str, int, float, bool)


def _gone(cell: Any) -> bool:
    return cell is None or type(cell).__name__ in ("NAType", "NaTType") or (isinstance(cell, float) and cell != cell)
