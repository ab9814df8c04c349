"""Write columns to a file atomically."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.tabular.tables.refusal import TableError, refusing

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = {".csv": ",", ".txt": ",", ".tsv": "\t", ".tab": "\t"}
PARQUET = (".parquet", ".pq")
ARROW = (".arrow", ".feather", ".ipc")


def write(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Write columns (name -> one-dimensional array, list or Arrow array, all of one length) in the format of the
    suffix.

    NaN and None become empty cells. The file is written under a temporary name and then renamed, so the path always
    holds either the old file or the complete new one. Raises TableError (one line).
    """
    from unstuck.tabular.tables.memory import in_memory_table

    target = Path(path)
    if target.suffix.lower() not in (*TEXT, *PARQUET, *ARROW):
        raise TableError("unknown format: use .csv, .tsv, .parquet or .arrow", file=str(path))
    table = in_memory_table(columns)
    with refusing(str(path)):
        target = target.resolve()  # keep a link and replace the file it points to
        if target.exists() and not target.is_file():
            raise TableError("is not a regular file", file=str(path))
        _moved_into_place(table, target)


def _moved_into_place(table: pa.Table, target: Path) -> None:
    beside = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        with beside.open("xb") as file:
            _put(table, file, target.suffix.lower())
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            beside.chmod(target.stat().st_mode & 0o7777)
        beside.replace(target)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def _put(table: pa.Table, file: Any, suffix: str) -> None:
    if suffix in TEXT:
        from pyarrow import csv

        csv.write_csv(table, file, csv.WriteOptions(delimiter=TEXT[suffix]))
    elif suffix in PARQUET:
        from pyarrow import parquet

        parquet.write_table(table, file)
    else:
        from pyarrow import ipc

        with ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
