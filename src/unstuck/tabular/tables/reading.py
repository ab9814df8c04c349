"""From whatever a person has to a Table."""

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
    b"\xd0\xcf\x11\xe0": "is a spreadsheet of the old sort: save the table as CSV",
    b"\x89HDF": "is HDF5: save the table as Parquet",
    b"SQLite format 3": "is a database: save the table as CSV or Parquet",
    b"FEA1": "is Feather of the first version: write it anew",
    b"\x93NUMPY": "is a NumPy file: save the table as Parquet, or hand over its columns",
    b"\x89PNG": "is a picture: pictures lie in a folder with one folder per class",
    b"\xff\xd8\xff": "is a picture: pictures lie in a folder with one folder per class",
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
    """A table of what is there: columns, kinds, and batches when they are asked for.

    `data` is a path, a folder, a glob, several of these, or in memory a data frame, an Arrow table, anything that
    exports the Arrow stream, or a dict of columns. Files are CSV and its kin (plain or compressed), Parquet, Arrow,
    folders of pictures by class, and the CIFAR batch files; what a file is, its first bytes say.

    Text: `delimiter`, `decimal` (mark), `encoding` and `header` (whether the first row names the columns) are found out
    where they are not given. `split` names the part of a folder that has parts (the default: train). `kinds` names the
    kinds of columns that were taken for something else. Raises TableError.
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
    """The source in a file, or in a folder of class folders; its first bytes say what it is."""
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
        raise TableError(f"is no {suffix[1:]} file, or damaged: it begins with {shown(start[:4])}", file=path)
    if suffix in JSON:
        raise TableError("is JSON: save the table as CSV or Parquet", file=path)
    from unstuck.tabular.tables.delimited import delimited

    return delimited(path, wanted)


def _joined(sources: list[Any], notes: Iterable[str], wanted: Mapping[str, Kind | str]) -> Table:
    """One table of all sources; raises TableError where their columns differ."""
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
                what = f"is {source.kinds[name]} here and {found[name]} in {first.file}: say which it is"
                raise TableError(what, file=source.file, column=name)
    rows = [source.rows for source in sources]
    told = (*notes, *(note for source in sources[:3] for note in source.notes))
    return Table(kinds, None if None in rows else sum(rows), told, tuple(sources))


def _refuse_other_columns(first: Source, other: Source) -> None:
    for name in first.kinds:
        if name not in other.kinds:
            raise TableError(f"is missing here and stands in {first.file}", file=other.file, column=name)
    for name in other.kinds:
        if name not in first.kinds:
            raise TableError(f"stands here and is missing in {first.file}", file=other.file, column=name)
