"""Open any supported data as a Table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unstuck.tabular.tables.dialect import Dialect, checked
from unstuck.tabular.tables.kind import Kind, override
from unstuck.tabular.tables.notation import Notation
from unstuck.tabular.tables.origin import Origin
from unstuck.tabular.tables.places import places
from unstuck.tabular.tables.refusal import TableError, refusing, shown
from unstuck.tabular.tables.source import Source
from unstuck.tabular.tables.table import Table

FOREIGN = {
    b"\x89HDF": "is HDF5: save the table as Parquet",
    b"FEA1": "is Feather version 1: save it as Feather version 2 or Parquet",
    b"\x93NUMPY": "is a NumPy file: save the table as Parquet, or pass its columns as a dict",
    b"\x89PNG": "is a single image: expected a folder with one subfolder of images per class",
    b"\xff\xd8\xff": "is a single image: expected a folder with one subfolder of images per class",
    b"%PDF": "is a PDF document",
    b"\x7fELF": "is a program",
}
TYPED = (".parquet", ".pq", ".arrow", ".feather", ".ipc", ".arrows", ".dta", ".sav", ".sas7bdat", ".xpt", ".xlsx")
OLD_SPREADSHEET = b"\xd0\xcf\x11\xe0"


def read(
    data: Any,
    *,
    delimiter: str | None = None,
    decimal: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    split: str | None = None,
    kinds: Mapping[str, Kind | str] | None = None,
    missing: Iterable[str] = (),
    dates: str | None = None,
    table: str | None = None,
    usual: str = ".",
) -> Table:
    """Open a table: its columns and kinds now, its rows in batches on demand.

    `data` is a path, a folder, a glob, several of these, or in memory a data frame, an Arrow table, anything that
    exports the Arrow stream, or a dict of columns. Files are delimited text (plain or compressed), Parquet, Arrow,
    spreadsheets, JSON and JSON lines, SQLite and DuckDB files, files of Stata, SAS and SPSS, folders of images by
    class, and the CIFAR batch files; the format is detected from the first bytes.

    Text: `delimiter`, `decimal` (mark), `encoding` and `header` (whether the first row names the columns) are detected
    if they are None; `usual` is the decimal mark where the file leaves it open. `missing` are words for a missing
    value, `dates` (dmy or mdy) the order of dates that leave it open. `split` selects one split of a folder (default:
    train), `table` a sheet or a table of a file that holds several. `kinds` overrides the detected
    kinds of columns. Raises TableError.
    """
    missing = tuple(missing)
    asked = Dialect(delimiter, decimal, encoding, header, usual=usual, order=dates, missing=missing)
    wanted, origin = checked(asked), Origin(order=dates, missing=missing)
    if _in_memory(data):
        from unstuck.tabular.tables.memory import in_memory

        return _joined([in_memory(data, origin)], (), kinds or {}, missing)
    found = places(data, split)
    return _joined([opened(path, wanted, table, origin) for path in found.paths], found.notes, kinds or {}, missing)


def _in_memory(data: object) -> bool:
    if isinstance(data, str | os.PathLike):
        return False
    listed = isinstance(data, list | tuple | set | frozenset)
    return not (listed and all(isinstance(one, str | os.PathLike) for one in data))  # type: ignore[union-attr]


def opened(path: str, wanted: Dialect, table: str | None, origin: Origin) -> Source:
    """The source in a file or a folder of class folders, by its first bytes."""
    if Path(path).is_dir():
        from unstuck.tabular.tables.class_folder import class_folder

        return class_folder(path)
    with refusing(path), Path(path).open("rb") as file:
        start = file.read(512)
    if not start:
        raise TableError("is empty", file=path)
    for magic, what in FOREIGN.items():
        if start.startswith(magic):
            raise TableError(what, file=path)
    return _typed(path, start) or _held(path, start, wanted, table, origin) or _text(path, start, wanted, origin)


def _typed(path: str, start: bytes) -> Source | None:
    if start[:1] == b"\x80" and start[1:2] in (b"\2", b"\3", b"\4", b"\5"):
        from unstuck.tabular.tables.cifar_batch import cifar_batch

        return cifar_batch(path)
    if start.startswith((b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")):
        from unstuck.tabular.tables import typed

        return {b"P": typed.parquet, b"A": typed.arrow_file, b"\xff": typed.arrow_stream}[start[:1]](path)
    return None


def _held(path: str, start: bytes, wanted: Dialect, table: str | None, origin: Origin) -> Source | None:
    """The table in a file of another program."""
    from unstuck.tabular.tables import databases, spreadsheet, statistical

    if start.startswith(OLD_SPREADSHEET) or (start.startswith(b"PK\x03\x04") and spreadsheet.is_spreadsheet(path)):
        return spreadsheet.spreadsheet(path, table, wanted.header, origin)
    if start.startswith(b"SQLite format 3\0"):
        return databases.sqlite(path, table, origin)
    if start[8:12] == b"DUCK":
        return databases.duckdb(path, table, origin)
    if (made_by := statistical.program(start, Path(path).suffix.lower())) is not None:
        return statistical.statistical(path, made_by, origin)
    return None


def _text(path: str, start: bytes, wanted: Dialect, origin: Origin) -> Source:
    suffix = Path(path).suffix.lower()
    if suffix in TYPED:
        raise TableError(f"is not a valid {suffix[1:]} file: it begins with {shown(start[:4])}", file=path)
    if _is_json(path):
        from unstuck.tabular.tables.objects import objects

        return objects(path, origin)
    from unstuck.tabular.tables.delimited import delimited

    return delimited(path, wanted)


def _is_json(path: str) -> bool:
    """Whether a file, perhaps a compressed one, begins as JSON does."""
    from unstuck.tabular.tables.packed import unpacked

    with refusing(path), unpacked(path) as stream:
        start = stream.read(256).removeprefix(b"\xef\xbb\xbf").lstrip()
    return bool(re.match(rb'\{\s*("|\}|$)|\[\s*([\[{\]]|$)', start))


def _joined(
    sources: list[Any], notes: Iterable[str], wanted: Mapping[str, Kind | str], missing: tuple[str, ...]
) -> Table:
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
    gone = dict.fromkeys((*missing, *(word for source in sources for word in source.missing)))
    notations = _agreed(sources, found)
    return Table(kinds, None if None in rows else sum(rows), told, tuple(sources), notations, tuple(gone))


def _agreed(sources: list[Any], kinds: Mapping[str, Kind]) -> dict[str, Notation]:
    """The notations of the columns. Raises TableError if two files write a column differently."""
    out: dict[str, Notation] = {}
    for source in sources:
        for name, one in source.notations.items():
            known = out.setdefault(name, one)
            if known == one or one.kind != kinds[name]:
                continue
            if not source.suits(name, known, one):
                if not all(s.suits(name, one, known) for s in sources[: sources.index(source)]):
                    what = f"holds {one} in this file but {known} in {sources[0].file}: the files must agree"
                    raise TableError(what, file=source.file, column=name)
                out[name] = one
    return out


def _refuse_other_columns(first: Source, other: Source) -> None:
    for name in first.kinds:
        if name not in other.kinds:
            raise TableError(f"is missing in this file but present in {first.file}", file=other.file, column=name)
    for name in other.kinds:
        if name not in first.kinds:
            raise TableError(f"is present in this file but missing in {first.file}", file=other.file, column=name)
