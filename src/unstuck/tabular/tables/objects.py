"""JSON and JSON lines."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import IO, Any

from unstuck.tabular.tables.cells import column
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.packed import unpacked
from unstuck.tabular.tables.refusal import TableError, refusing, shown
from unstuck.tabular.tables.typed import Typed, of_columns

ROWS = ("data", "rows", "records", "results", "items", "features")
"""Keys under which programs keep the rows, if an object has several lists."""
Rows = list[dict[str, Any]]


def objects(file: str, origin: Origin) -> Typed:
    """A file of JSON: a list of objects, an object of columns, a list of lists, or one object in every line."""
    with refusing(file), unpacked(file) as stream:
        rows, notes = _rows(stream, file)
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise TableError("has no columns", file=file)
    with refusing(file):
        columns = [column([_value(row.get(name)) for row in rows]) for name in names]
    return of_columns(file, names, columns, notes, origin)


def _rows(stream: IO[bytes], file: str) -> tuple[Rows, list[str]]:
    whole = stream.read().decode("utf-8-sig")
    try:
        return _found(json.loads(whole), file)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise _refused(error, file) from None
    return _lines(whole, file), ["JSON lines"]


def _lines(whole: str, file: str) -> Rows:
    rows: Rows = []
    for number, line in enumerate(whole.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            one = json.loads(line)
        except json.JSONDecodeError as error:
            raise TableError(f"is not JSON: {error.msg}", file=file, row=number) from None
        if not isinstance(one, dict):
            raise TableError(f"expected an object, found {shown(line)}", file=file, row=number)
        rows.append(_flat(one))
    return rows


def _refused(error: json.JSONDecodeError, file: str) -> TableError:
    return TableError(f"is not JSON: {error.msg} (line {error.lineno}, character {error.colno})", file=file)


def _found(data: Any, file: str) -> tuple[Rows, list[str]]:
    """The rows in a JSON document."""
    if isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        return [_flat(one) for one in data], ["JSON: a list of objects"]
    if isinstance(data, list) and len(data) > 1 and all(isinstance(one, list) for one in data):
        return _listed(data[0], data[1:], file), ["JSON: a list of lists, the first of them the names"]
    if isinstance(data, dict):
        return _object(data, file)
    raise TableError("is JSON, but not a table: expected a list of objects", file=file)


def _object(data: dict[str, Any], file: str) -> tuple[Rows, list[str]]:
    if isinstance(data.get("columns"), list) and _all(data.get("data"), list):
        return _listed(data["columns"], data["data"], file), ["JSON: columns and data"]
    tables = [name for name, one in data.items() if _all(one, dict)]
    if tables:
        chosen = next((name for name in ROWS if name in tables), tables[0])
        return [_flat(one) for one in data[chosen]], [f"JSON: the objects in {shown(chosen)}"]
    lengths = {len(one) for one in data.values() if isinstance(one, list | dict)}
    if data and len(lengths) == 1 and all(isinstance(one, list) for one in data.values()):
        return _listed(list(data), zip(*data.values(), strict=True), file), ["JSON: an object of columns"]
    if data and len(lengths) == 1 and all(isinstance(one, dict) for one in data.values()):
        index = list(dict.fromkeys(key for one in data.values() for key in one))
        if all(not isinstance(v, list | dict) for one in data.values() for v in one.values()):
            return [{name: one.get(key) for name, one in data.items()} for key in index], ["JSON: an object of columns"]
    if data and not lengths:
        return [data], ["JSON: one object"]
    raise TableError("is JSON, but not a table: expected a list of objects", file=file)


def _all(values: Any, type_: type) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(one, type_) for one in values)


def _listed(names: Iterable[Any], rows: Iterable[Any], file: str) -> Rows:
    header = [str(name) for name in names]
    if len(set(header)) < len(header):
        raise TableError("two columns have the same name", file=file)
    out: Rows = []
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise TableError(f"expected {len(header)} values, found {len(row)}", file=file, row=number)
        out.append(dict(zip(header, row, strict=True)))
    return out


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Nested objects as columns with a dot in their names."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and value:
            out |= {f"{name}.{inner}": one for inner, one in _flat(value).items()}
        else:
            out[name] = value
    return out


def _value(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return None if value == "" or value == {} else value
