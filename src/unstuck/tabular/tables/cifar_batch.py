"""The CIFAR batches of `cifar-10-batches-py` and `cifar-100-python`, read without unpickling.

They are pickles, and loading a pickle runs the code in it. Here the opcodes are only read: after the name of an
entry, its bytes or its list of small numbers is taken, and no object is ever built or called.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unstuck.tabular.tables.kind import NUMBER, Kind, image
from unstuck.tabular.tables.pictures import packed
from unstuck.tabular.tables.refusal import TableError, refusing
from unstuck.tabular.tables.source import Typeless

if TYPE_CHECKING:
    import pyarrow as pa

SIDE = 32
PICTURE = 3 * SIDE * SIDE
LARGEST = 1 << 30
"""Bytes; the real files have 30 million (CIFAR-100: 150 million)."""
LABELS = (b"labels", b"fine_labels")
BETWEEN = {"MARK", "APPENDS", "APPEND", "BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE", "EMPTY_LIST", "LIST", "FRAME"}
"""Opcodes that may occur before and between the numbers of a list."""


@dataclass(frozen=True)
class CifarBatch(Typeless):
    """One file; columns `img` (32x32x3) and `label` (a number)."""

    file: str
    kinds: Mapping[str, Kind]
    rows: int
    notes: tuple[str, ...] = ()
    undecided: frozenset[str] = frozenset()
    first_row = 1

    def batches(self, kinds: Mapping[str, Kind], missing: tuple[str, ...], size: int) -> Iterator[pa.RecordBatch]:
        """The images in order."""
        import numpy as np
        import pyarrow as pa

        data, labels = _taken(self.file)
        planes = np.frombuffer(data, np.uint8).reshape(-1, 3, SIDE, SIDE)
        for start in range(0, len(labels), size):
            rows = planes[start : start + size].transpose(0, 2, 3, 1).reshape(-1, PICTURE)
            columns = {
                "img": packed(rows, self.kinds["img"]),
                "label": pa.array(labels[start : start + size], pa.int64()),
            }
            yield pa.RecordBatch.from_arrays([columns[name] for name in kinds], list(kinds))


def cifar_batch(file: str) -> CifarBatch:
    """Open a batch file; reads it once, so that errors are raised now."""
    _, labels = _taken(file)
    return CifarBatch(file, {"img": image(SIDE, SIDE, 3), "label": NUMBER}, len(labels))


def _taken(file: str) -> tuple[bytes, list[int]]:
    """The pixels and the labels; raises TableError for any other pickle."""
    path = Path(file)
    with refusing(file):
        if path.stat().st_size > LARGEST:
            raise TableError("is a pickle, which runs code when loaded: save the table as Parquet", file=file)
        content = path.read_bytes()
        data, labels = _entries(pickletools.genops(content))
    if data is None or labels is None:
        what = "is a pickle but not a CIFAR batch; pickles run code when loaded: save the table as Parquet"
        raise TableError(what, file=file)
    if len(data) != PICTURE * len(labels) or not labels:
        raise TableError(f"{len(data):,} bytes of pixels do not match {len(labels):,} labels", file=file)
    if not all(0 <= label < 256 for label in labels):
        raise TableError("a label is not in 0 to 255", file=file)
    return data, labels


def _entries(operations: Iterable[tuple[Any, Any, Any]]) -> tuple[bytes | None, list[int] | None]:
    """The values of the entries `data` and `labels`; None if absent."""
    data: bytes | None = None
    labels: list[int] | None = None
    entry = ""
    for operation, argument, _ in operations:
        text = _bytes(argument)
        if text in (b"data", *LABELS):
            entry = "data" if text == b"data" else "labels"
            labels = [] if entry == "labels" else labels
        elif entry == "labels" and operation.name not in BETWEEN:
            if isinstance(argument, int) and labels is not None:
                labels.append(argument)
            else:
                entry = ""
        elif entry == "data" and operation.name == "NEWTRUE":
            raise ValueError("its pixels are in another order")
        elif entry == "data" and text is not None and len(text) >= PICTURE:
            data, entry = text, ""
    return data, labels


def _bytes(argument: object) -> bytes | None:
    if isinstance(argument, str):
        try:
            return argument.encode("latin-1")
        except UnicodeEncodeError:
            return None
    return bytes(argument) if isinstance(argument, bytes | bytearray) else None
