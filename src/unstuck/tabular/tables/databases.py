"""Database files: SQLite and DuckDB."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from unstuck.tabular.tables.cells import column
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.refusal import TableError, near, shown
from unstuck.tabular.tables.typed import Typed, of_columns, of_table


def sqlite(file: str, name: str | None, origin: Origin) -> Typed:
    """The named table or view of an SQLite file, or its only one."""
    try:
        opened = sqlite3.connect(f"{Path(file).resolve().as_uri()}?mode=ro&immutable=1", uri=True)
        try:
            found = opened.execute(
                "select name from sqlite_master where type in ('table', 'view') and name not like 'sqlite_%' order by 1"
            ).fetchall()
            chosen = _chosen([str(one) for (one,) in found], name, file)
            cursor = opened.execute(f"select * from {_quoted(chosen)}")
            names, rows = [one[0] for one in cursor.description], cursor.fetchall()
        finally:
            opened.close()
    except sqlite3.Error as error:
        raise TableError(f"cannot be read as SQLite: {error}", file=file) from None
    columns = [column([_blank(row[j]) for row in rows]) for j in range(len(names))]
    return of_columns(file, names, columns, [f"table {shown(chosen)}"], origin)


def duckdb(file: str, name: str | None, origin: Origin) -> Typed:
    """The named table or view of a DuckDB file, or its only one."""
    import duckdb as library

    try:
        # Views could read other files and the network.
        opened = library.connect(file, read_only=True, config={"enable_external_access": "false"})
        try:
            found = opened.execute(
                "select table_schema, table_name from information_schema.tables order by 1, 2"
            ).fetchall()
            tables = {one if schema == "main" else f"{schema}.{one}": (schema, one) for schema, one in found}
            chosen = _chosen(list(tables), name, file)
            place = ".".join(map(_quoted, tables[chosen]))
            read = opened.sql(f"select * from {place}").to_arrow_table()
        finally:
            opened.close()
    except library.Error as error:
        raise TableError(f"cannot be read as DuckDB: {str(error).splitlines()[0]}", file=file) from None
    return of_table(file, _plain(read), [f"table {shown(chosen)}"], origin)


def _plain(table: pa.Table) -> pa.Table:
    """Without types that only Arrow extensions have, such as UUID."""
    for i, field in enumerate(table.schema):
        if isinstance(field.type, pa.BaseExtensionType):
            table = table.set_column(i, field.name, table.column(i).cast(pa.string()))
    return table


def _chosen(tables: Sequence[str], name: str | None, file: str) -> str:
    if name is not None:
        if name not in tables:
            raise TableError(f"no table {shown(name)}{near(name, tables)}", file=file)
        return name
    if not tables:
        raise TableError("holds no table", file=file)
    if len(tables) > 1:
        listed = ", ".join(map(shown, tables[:5])) + (" ..." if len(tables) > 5 else "")
        raise TableError(f"holds {len(tables)} tables ({listed}): choose one with --table NAME", file=file)
    return tables[0]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _blank(value: Any) -> Any:
    return None if value == "" else value
