"""Resolve a path, folder or pattern to the files and folders to read."""

from __future__ import annotations

import atexit
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from unstuck.tabular.tables.refusal import TableError, near, refusing, shown

FAMILIES = {
    "text": (".csv", ".tsv", ".tab"),
    "JSON": (".json", ".jsonl", ".ndjson"),
    "spreadsheet": (".xlsx", ".xls", ".xlsb", ".ods"),
    "Parquet": (".parquet", ".pq"),
    "Arrow": (".arrow", ".feather", ".ipc", ".arrows"),
}
LOOSE = (".txt", ".dat", ".data")
"""Read as tables only if a folder has no other tables; beside other tables they are usually notes."""
COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".xz", ".zip")
SPLIT = re.compile(r"(train|test|validation|valid|val|dev|eval)(?=[-_.\d]|$)", re.IGNORECASE)
CIFAR = {"train": re.compile(r"data_batch_\d+|train"), "test": re.compile(r"test_batch|test")}
BELOW = ("data", "cifar-10-batches-py", "cifar-100-python")
"""Subfolders in which well-known data sets keep their files."""


class Places(NamedTuple):
    """The paths to read, in order, and notes on what was chosen."""

    paths: list[str]
    notes: tuple[str, ...] = ()


def places(data: object, split: str | None) -> Places:
    """The files (or folders of class folders) behind a path, a folder, a glob, or several of them."""
    if isinstance(data, str | os.PathLike):
        return _place(os.fspath(data), split)  # type: ignore[arg-type]
    found = [_place(os.fspath(one), split) for one in data]  # type: ignore[union-attr]
    paths = [path for place in found for path in place.paths]
    if not paths:
        raise TableError("no data given")
    return Places(paths, tuple(note for place in found for note in place.notes))


def _place(given: str, split: str | None) -> Places:
    if not given or "\0" in given:
        raise TableError(f"{shown(given)} is not a path")
    if given == "-":
        return Places([spooled()], ("read from standard input",))
    path = Path(given)
    with refusing(given):
        if path.is_dir():
            return _folder(path, split)
        if os.path.lexists(path):
            return _file(path, split)
        if glob.has_magic(given):
            return _matching(given, split)
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise TableError(f"no such file or folder{near(path.name, beside)}", file=given)


def _file(path: Path, split: str | None) -> Places:
    if not path.exists():
        raise TableError("is a broken link", file=str(path))
    if not path.is_file():
        raise TableError("is not a regular file and cannot be read twice: write the data to a file", file=str(path))
    if split is not None:
        raise TableError(f"is a file: only a folder has a split {shown(split)}", file=str(path))
    return Places([str(path)])


@cache
def spooled() -> str:
    """The path of a copy of standard input, which is read several times; deleted at the end of the process."""
    copy = tempfile.NamedTemporaryFile(prefix="stdin-", delete=False)  # noqa: SIM115 - it outlives this function
    atexit.register(Path(copy.name).unlink, missing_ok=True)
    with copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
    return copy.name


def _matching(pattern: str, split: str | None) -> Places:
    # Path.glob rejects absolute patterns.
    found = sorted(p for p in glob.glob(pattern, recursive=True) if Path(p).is_file())  # noqa: PTH207
    if not found:
        raise TableError("no file matches", file=pattern)
    if split is not None:
        raise TableError(f"is a pattern: only a folder has a split {shown(split)}", file=pattern)
    return Places(found, (f"{pattern}: {len(found)} files",))


def _folder(folder: Path, split: str | None) -> Places:
    from unstuck.tabular.tables.class_folder import pictures_in

    entries = sorted(p for p in folder.iterdir() if not p.name.startswith((".", "_")))
    if cifar := _cifar(folder, entries, split):
        return cifar
    if files := _data_files(folder, entries):
        return _of_split(folder, {p: _split_of(p) for p in files}, split)
    for name in BELOW:
        if (folder / name).is_dir():
            return _folder(folder / name, split)
    below = [p for p in entries if p.is_dir()]
    if below and all(SPLIT.fullmatch(p.name) for p in below):
        chosen = _of_split(folder, {p: p.name.lower() for p in below}, split)
        inside = [_folder(Path(p), None) for p in chosen.paths]
        return Places([p for i in inside for p in i.paths], chosen.notes + tuple(n for i in inside for n in i.notes))
    if split is not None:
        raise TableError(f"no split {shown(split)} in this folder", file=str(folder))
    if any(pictures_in(p) for p in below):
        return Places([str(folder)])
    raise TableError("no data in this folder: expected CSV, TSV, Parquet, Arrow or folders of images", file=str(folder))


def _cifar(folder: Path, entries: list[Path], split: str | None) -> Places | None:
    held = {p.name for p in entries}
    if not held & {"batches.meta", "meta", "data_batch_1", "test_batch"} or not held & {
        "data_batch_1",
        "test_batch",
        "train",
    }:
        return None
    splits = {p: s for p in entries for s, named in CIFAR.items() if named.fullmatch(p.name)}
    return _of_split(folder, splits, split)


def _data_files(folder: Path, entries: Iterable[Path]) -> list[Path]:
    """The folder's tables; raises TableError if they differ in format."""
    files = [p for p in entries if p.is_file()]
    families = {p: family for p in files if (family := _family(p))} or {p: "text" for p in files if _suffix(p) in LOOSE}
    if len(set(families.values())) > 1:
        kinds = " and ".join(sorted(set(families.values())))
        raise TableError(
            f"holds tables in several formats ({kinds}): name the files to read (a pattern works)", file=str(folder)
        )
    return list(families)


def _family(path: Path) -> str | None:
    return next((family for family, known in FAMILIES.items() if _suffix(path) in known), None)


def _suffix(path: Path) -> str:
    """The suffix in lower case, ignoring one for compression."""
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    return suffixes[-2] if len(suffixes) == 2 and suffixes[-1] in COMPRESSED else (suffixes or [""])[-1]


def _split_of(path: Path) -> str:
    found = SPLIT.match(path.name)
    return found[1].lower() if found else ""


def _of_split(folder: Path, splits: dict[Path, str], wanted: str | None) -> Places:
    """The files of one split: the one asked for, else train, else the only one."""
    held = sorted(set(splits.values()))
    if wanted is not None and wanted.lower() not in held:
        named = [s for s in held if s]
        what = f"it has {', '.join(named)}" if named else "no file name contains a split"
        raise TableError(f"no split {shown(wanted)} in this folder: {what}", file=str(folder))
    chosen = wanted.lower() if wanted is not None else "train" if "train" in held else held[0]
    if wanted is None and len(held) > 1 and "train" not in held:
        raise TableError(f"holds the splits {', '.join(s or '(none)' for s in held)}: choose one", file=str(folder))
    paths = [str(p) for p, s in splits.items() if s == chosen]
    others = [s or "files without a split" for s in held if s != chosen]
    notes = (f"{folder}: split {chosen} ({', '.join(others)} not read)",) if others else ()
    return Places(paths, notes)
