"""A folder with one subfolder of images per class."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unstuck.tabular.tables.kind import TEXT, Kind
from unstuck.tabular.tables.pictures import LOOKED_AT, SUFFIXES, kind_of, packed, pixels
from unstuck.tabular.tables.refusal import TableError, refusing
from unstuck.tabular.tables.source import Typeless

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class ClassFolder(Typeless):
    """Columns `image` and `label`; the label is the name of the image's folder."""

    file: str
    pictures: tuple[Path, ...]
    kinds: Mapping[str, Kind]
    notes: tuple[str, ...]
    undecided: frozenset[str] = frozenset()
    first_row = 1

    @property
    def rows(self) -> int:
        return len(self.pictures)

    def batches(self, kinds: Mapping[str, Kind], missing: tuple[str, ...], size: int) -> Iterator[pa.RecordBatch]:
        """The images class by class, sorted by file name."""
        import pyarrow as pa

        for start in range(0, self.rows, size):
            part = self.pictures[start : start + size]
            columns = {"label": lambda part=part: pa.array([p.parent.name for p in part], pa.string())}
            columns["image"] = lambda part=part: self._pixels(part, kinds["image"])
            yield pa.RecordBatch.from_arrays([columns[name]() for name in kinds], list(kinds))

    def _pixels(self, part: tuple[Path, ...], kind: Kind) -> pa.Array:
        import numpy as np

        if kind.name != "image" or len(kind.shape) != 3:
            raise TableError(f"images cannot be read as {kind}", file=self.file, column="image")
        return packed(np.stack([_decoded(path, kind) for path in part]), kind)


def _decoded(path: Path, kind: Kind) -> np.ndarray:
    with refusing(str(path)):
        blob = path.read_bytes()
    try:
        return pixels(blob, kind)
    except ValueError as why:
        raise TableError(str(why), file=str(path)) from None


def pictures_in(folder: Path) -> list[Path]:
    """The images directly in a folder, sorted by name."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))


def class_folder(folder: str) -> ClassFolder:
    """Open a folder of class folders: list every image and read the headers of some."""
    classes = sorted(p for p in Path(folder).iterdir() if p.is_dir() and not p.name.startswith("."))
    by_class = {p.name: pictures_in(p) for p in classes}
    pictures = tuple(itertools.chain.from_iterable(by_class.values()))
    # Sample all classes: some may be grey and others in colour.
    with refusing(folder):
        kind = kind_of(p.read_bytes() for p in pictures[:: max(1, len(pictures) // LOOKED_AT)])
    if kind is None:
        raise TableError("not a PNG, JPEG, BMP or WebP image", file=str(pictures[0]))
    notes = [f"{folder}: {len(pictures):,} images in {sum(map(bool, by_class.values()))} classes"]
    notes += [f"{folder}/{name}: no images in this folder" for name, found in by_class.items() if not found]
    others = sum(not p.name.startswith(".") for c in classes for p in c.iterdir()) - len(pictures)
    notes += [f"{folder}: {others:,} files that are not images were skipped"] if others else []
    return ClassFolder(folder, pictures, {"image": kind, "label": TEXT}, tuple(notes))
