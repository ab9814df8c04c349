"""Convert any X to a frame: arrays, lists, sparse matrices, tensors, data frames of pandas, polars and Arrow.

A column is numbers, a date or words, and stays so after fitting. A data frame with other columns than numbers is read
as a file is; in arrays and object columns, text that parses as numbers throughout is numbers, as in scikit-learn. None
of these libraries is imported here for numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.tabular.fit.cells import Column, as_numbers, as_words, read
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.habits import Habits, of_table
from unstuck.tabular.fit.roles import Roles, listed
from unstuck.tabular.tables.refusal import near

Array = np.ndarray
BLOCK = 1 << 22
"""Numbers predicted for at once."""
COPIES = 3
"""Copies in memory: the table, the network's inputs, and intermediate values."""


@dataclass(frozen=True)
class Schema:
    """Which columns of X are words, (d,)."""

    words: tuple[bool, ...]
    roles: Roles | None = None
    """The kinds of the columns of a data frame that is read as a file is."""
    habits: Habits | None = None
    """How its texts were written."""
    notes: tuple[str, ...] = ()


def plain(x: Any) -> Any:
    """A tensor as an array, a lazy frame as a frame; anything else unchanged. Does not import torch or polars: a tensor
    implies that torch is imported."""
    polars = sys.modules.get("polars")
    if polars is not None and isinstance(x, polars.LazyFrame):
        return x.collect()
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(x, torch.Tensor):
        return x
    x = x.detach().cpu()
    return (x.float() if x.dtype == torch.bfloat16 else x).numpy()


def is_table(x: Any) -> bool:
    """Whether x has typed columns: a data frame of pandas or polars, or an Arrow table."""
    return hasattr(x, "columns") and (hasattr(x, "iloc") or hasattr(x, "get_columns") or hasattr(x, "column_names"))


def arranged(x: Any, names: list[str]) -> Any:
    """The columns of a data frame that a model was fitted to, in their order. Raises ValueError if some are missing;
    warns of columns that are ignored."""
    import warnings

    found = list(map(str, x.column_names if hasattr(x, "column_names") else x.columns))
    if found == names:
        return x
    missing = [name for name in names if name not in found]
    if missing:
        hint = near(missing[0], found) if len(missing) == 1 else ""
        raise ValueError(f"missing input columns: {listed(missing)}{hint}")
    if extra := [name for name in found if name not in names]:
        warnings.warn(f"columns that the model was not fitted to are ignored: {listed(extra)}", stacklevel=4)
    places = [found.index(name) for name in names]
    return x.iloc[:, places] if hasattr(x, "iloc") else x.select(names)


def frame_of(x: Any, schema: Schema | None = None) -> tuple[Frame, Schema]:
    """X as a frame; `schema`: that of the training, None in training.

    Raises ValueError if a column that was numeric no longer is, TypeError for cells that are neither numbers nor text,
    and MemoryError for a sparse matrix too large to densify.
    """
    if is_table(x) and (schema.roles is not None if schema else not _only_numbers(x)):
        return _read(x, schema)
    if is_table(x):
        return _assembled(list(_columns(x)), schema)
    if hasattr(x, "toarray"):
        return Frame(_dense(x)), Schema((False,) * x.shape[1])
    x = np.asarray(x)
    if x.dtype.kind in "buif" and not (schema and any(schema.words)):
        return Frame(x), Schema((False,) * x.shape[1])
    return _assembled([Column(str(j), x[:, j], declared=False) for j in range(x.shape[1])], schema)


def blocks(x: Any, schema: Schema) -> Iterator[Frame]:
    """The rows of X as frames of bounded size."""
    size = max(1, BLOCK // max(x.shape[1], 1))
    if hasattr(x, "toarray"):
        yield from (frame_of(x[at : at + size], schema)[0] for at in range(0, x.shape[0], size))
        return
    whole = frame_of(x, schema)[0]
    yield from (whole.take(slice(at, at + size)) for at in range(0, len(whole), size))  # type: ignore[arg-type]


def _only_numbers(x: Any) -> bool:
    """Whether all columns are of numpy's numbers or truth values, or of pandas' with gaps."""
    if hasattr(x, "iloc"):
        return all(dtype.kind in "buif" for dtype in x.dtypes)
    if hasattr(x, "get_columns"):
        return all(dtype.is_numeric() or str(dtype) == "Boolean" for dtype in x.dtypes)
    from unstuck.tabular.tables.kind import BOOLEAN, NUMBER, of_type

    return all(of_type(type_) in (BOOLEAN, NUMBER) for type_ in x.schema.types)


def _read(x: Any, schema: Schema | None) -> tuple[Frame, Schema]:
    """A data frame as `unstuck fit` reads a file."""
    from unstuck.tabular.fit.loading import frame_of as framed
    from unstuck.tabular.tables import read

    table = read(x, missing=schema.habits.missing if schema and schema.habits else ())
    if schema is None or schema.roles is None:
        who = Roles(table.columns, ())
        words = tuple(kind.name == "text" for kind in table.columns.values())
        schema = Schema(words, who, of_table(table))
    else:
        who = schema.roles
        table = table.read_as(dict(who.inputs), schema.habits.notations if schema.habits else {})
    (batch,) = table.batches(max(table.rows or 1, 1))
    return framed(batch, who), replace(schema, notes=table.notes)


def _assembled(columns: list[Column], schema: Schema | None) -> tuple[Frame, Schema]:
    if schema is None:
        cells = [read(column) for column in columns]
        schema = Schema(tuple(one.dtype == object for one in cells))
    else:
        cells = [(as_words if words else as_numbers)(c) for c, words in zip(columns, schema.words, strict=True)]
    numbers = [one for one, words in zip(cells, schema.words, strict=True) if not words]
    texts = tuple(one.tolist() for one, words in zip(cells, schema.words, strict=True) if words)
    rows = len(cells[0]) if cells else 0
    return Frame(_stacked(numbers, rows), texts), schema


def _stacked(columns: list[Array], rows: int) -> Array:
    out = np.empty((rows, len(columns)), np.result_type(*columns) if columns else np.float64)
    for j, column in enumerate(columns):
        out[:, j] = column
    return out


def _columns(x: Any) -> Iterator[Column]:
    if hasattr(x, "iloc"):
        for j, name in enumerate(x.columns):
            yield _pandas(str(name), x.iloc[:, j])
    else:
        names, columns = (x.column_names, x.columns) if hasattr(x, "column_names") else (x.columns, x.get_columns())
        for name, column in zip(names, columns, strict=True):
            yield Column(str(name), _cells(column), declared=True)


def _pandas(name: str, series: Any) -> Column:
    kind = series.dtype.kind
    if kind == "M":  # times with a zone become UTC
        return Column(name, series.to_numpy("datetime64[ns]"), declared=True)
    if kind in "buif" and not isinstance(series.dtype, np.dtype):
        return Column(name, series.to_numpy(np.float64, na_value=np.nan), declared=True)
    return Column(name, series.to_numpy(), declared=not isinstance(series.dtype, np.dtype))


def _cells(column: Any) -> Array:
    """Words of an Arrow dictionary as text, everything else as stored."""
    if str(getattr(column, "type", "")).startswith("dictionary"):
        return np.array([*column.to_pylist(), None], object)[:-1]
    return column.to_numpy()


def _dense(x: Any) -> Array:
    need, free = COPIES * x.shape[0] * x.shape[1] * max(x.dtype.itemsize, 4), _free()
    if need > free:
        raise MemoryError(
            f"a sparse X of {x.shape[0]} x {x.shape[1]} needs {need / 2**30:.1f} GiB as a dense array, and "
            f"{free / 2**30:.1f} GiB are free: reduce its columns first (TruncatedSVD, SelectKBest)"
        )
    return x.toarray()


def _free() -> float:
    """Bytes of free memory; infinite if unknown."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return float("inf")
