"""Open any supported data as a Table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unstuck.tabular.tables.dialect import Dialect, checked
from unstuck.tabular.tables.kind import Kind, override
from unstuck.tabular.tables.places import places
from unstuck.tabular.tables.refusal import TableError, refusing, shown
from unstuck.tabular.tables.source import Source
from unstuck.tabular.tables.table import Table

FOREIGN = {
    b"PK\x03\x04": "is a spreadsheet or a zip file: save the table as CSV or Parquet",
    b"\xd0\xcf\x11\xe0": "is an old spreadsheet format (.xls): save the table as CSV",
    b"\x89HDF": "is HDF5: save the table as Parquet",
    b"SQLite format 3": "is a database: save the table as CSV or Parquet",
    b"FEA1": "is Feather version 1: save it as Feather version 2 or Parquet",
    b"\x93NUMPY": "is a NumPy file: save the table as Parquet, or pass its columns as a dict",
    b"\x89PNG": "is a single image: expected a folder with one subfolder of images per class",
    b"\xff\xd8\xff": "is a single image: expected a folder with one subfolder of images per class",
    b"\xfd7zXZ": "is compressed with xz: unpack it, or use gzip",
    b"%PDF": "is a PDF document",
    b"\x7fELF": "is a program",
}
JSON = (".json", ".jsonl", ".ndjson")
TYPED = (".parquet", ".pq", ".arrow", ".feather", ".ipc", ".arrows")


def read(
    data: Any,
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    split: str | None = None,
    kinds: Mapping[str, Kind | str] | None = None,
) -> Table:
    """Open a table: its columns and kinds now, its rows in batches on demand.

    `data` is a path, a folder, a glob, several of these, or in memory a data frame, an Arrow table, anything that
    exports the Arrow stream, or a dict of columns. Files are delimited text (plain or compressed), Parquet, Arrow,
    folders of images by class, and the CIFAR batch files; the format is detected from the first bytes.

    Text: `delimiter`, `decimal` (mark), `encoding` and `header` (whether the first row names the columns) are detected
    if they are None. `split` selects one split of a folder (default: train). `kinds` overrides the detected kinds of
    columns. Raises TableError.
    """
    wanted = checked(Dialect(delimiter, decimal, encoding, header))
    if _in_memory(data):
        from unstuck.tabular.tables.typed import in_memory

        return _joined([in_memory(data)], (), kinds or {})
    found = places(data, split)
    return _joined([opened(path, wanted) for path in found.paths], found.notes, kinds or {})


def _in_memory(data: object) -> bool:
    if isinstance(data, str | os.PathLike):
        return False
    listed = isinstance(data, list | tuple | set | frozenset)
    return not (listed and all(isinstance(one, str | os.PathLike) for one in data))  # type: ignore[union-attr]


def opened(path: str, wanted: Dialect) -> Source:
    """The source in a file or a folder of class folders, by its first bytes."""
    if Path(path).is_dir():
        from unstuck.tabular.tables.class_folder import class_folder

        return class_folder(path)
    with refusing(path), Path(path).open("rb") as file:
        start = file.read(16)
    if not start:
        raise TableError("is empty", file=path)
    for magic, what in FOREIGN.items():
        if start.startswith(magic):
            raise TableError(what, file=path)
    return _typed(path, start) or _text(path, start, wanted)


def _typed(path: str, start: bytes) -> Source | None:
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        from unstuck.tabular.tables.cifar_batch import cifar_batch

        return cifar_batch(path)
    if start.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        from unstuck.tabular.tables import typed

        return {b"P": typed.parquet, b"A": typed.arrow_file, b"\xff": typed.arrow_stream}[start[:1]](path)
    return None


def _text(path: str, start: bytes, wanted: Dialect) -> Source:
    suffix = Path(path).suffix.lower()
    if suffix in TYPED:
        raise TableError(f"is not a valid {suffix[1:]} file: it begins with {shown(start[:4])}", file=path)
    if suffix in JSON:
        raise TableError("is JSON: save the table as CSV or Parquet", file=path)
    from unstuck.tabular.tables.delimited import delimited

    return delimited(path, wanted)


def _joined(sources: list[Any], notes: Iterable[str], wanted: Mapping[str, Kind | str]) -> Table:
    """Concatenate all sources; raises TableError if their columns differ."""
    first = sources[0]
    found = dict(first.kinds)
    for source in sources[1:]:
        _refuse_other_columns(first, source)
        for name in first.undecided - source.undecided:
            found[name] = source.kinds[name] if found[name] == first.kinds[name] else found[name]
    kinds = override(found, wanted, first.file)
    for source in sources[1:]:
        for name in found.keys() - source.undecided - wanted.keys():
            if source.kinds[name] != found[name]:
                what = f"is {source.kinds[name]} in this file but {found[name]} in {first.file}: the files must agree"
                raise TableError(what, file=source.file, column=name)
    rows = [source.rows for source in sources]
    told = (*notes, *(note for source in sources[:3] for note in source.notes))
    return Table(kinds, None if None in rows else sum(rows), told, tuple(sources))


def _refuse_other_columns(first: Source, other: Source) -> None:
    for name in first.kinds:
        if name not in other.kinds:
            raise TableError(f"is missing in this file but present in {first.file}", file=other.file, column=name)
    for name in other.kinds:
        if name not in first.kinds:
            raise TableError(f"is present in this file but missing in {first.file}", file=other.file, column=name)
