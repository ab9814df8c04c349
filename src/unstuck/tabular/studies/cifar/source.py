"""Find CIFAR-10 on disk, read it in several formats, and store it as bytes in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from unstuck.tabular import tables
from unstuck.tabular.studies.cifar.inputs import Pictures
from unstuck.tabular.studies.story import Unavailable

FOLDERS = ("cifar-10-batches-py", "cifar10", "cifar-10")
"""Searched in the given path, in $UNSTUCK_DATA and in the current folder."""
WHERE = (
    "pass it with --data PATH, or put one of these into the current folder or the one in $UNSTUCK_DATA: "
    "torchvision's folder cifar-10-batches-py; a folder cifar10 with Hugging Face's train-*.parquet and test-*.parquet "
    "(or train.csv and test.csv); a CSV with a column label and 3072 of bytes: red, green and blue plane"
)
LABELS = ("label", "labels", "class", "target", "y")
CLASSES = 10
CHANNELS = 3
LEAST = 600
"""Minimum number of images for batches and a test set."""
TEST = 6
"""The last of this many equal parts of a single table is the test set, like 10000 of 60000."""
Count = Callable[[int], None]
"""Called with the number of images read so far."""


def find(asked: Path | None) -> Path:
    """The given path, or one of FOLDERS. Raises Unavailable if there is none."""
    named = [asked] if asked else [Path(p) for p in (os.environ.get("UNSTUCK_DATA"), ".") if p]
    for place in named:
        if found := next((place / name for name in FOLDERS if (place / name).exists()), None):
            return found
    if asked is not None and asked.exists():
        return asked
    raise Unavailable((f"{asked} does not exist" if asked else "CIFAR-10 was not found") + f"; {WHERE}")


def read(place: Path, count: Count = lambda _: None) -> Pictures:
    """The images in a folder or file. Raises Unavailable with one line if they are not shaped like CIFAR-10."""
    try:
        parts = _parts(place)
        bytes_, labels = zip(*(_taken(part, before, count) for part, before in parts), strict=True)
    except tables.TableError as error:
        raise Unavailable(f"{error}; {WHERE}") from None
    if len(parts) == 1:
        return _checked(place, *_halved(bytes_[0]), *_halved(labels[0]))
    return _checked(place, *bytes_, *labels)


def _parts(place: Path) -> list[tuple[tables.Table, int]]:
    """Training and test tables, each with the number of images before it; one table if there are no splits."""
    if not place.is_dir():
        return [(tables.read(place), 0)]
    try:
        train, test = (tables.read(place, split=split) for split in ("train", "test"))
    except tables.TableError:
        return [(tables.read(place), 0)]  # raises the folder's own error, if it has one
    return [(train, 0), (test, train.rows or 0)]


def _halved(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    cut = len(values) - len(values) // TEST
    return values[:cut], values[cut:]


def _taken(table: tables.Table, before: int, count: Count) -> tuple[np.ndarray, np.ndarray]:
    """Bytes (n, channels, pixels) and labels (n,) of a table."""
    label = _label_of(table)
    image = next((name for name, kind in table.columns.items() if kind.name == "image"), None)
    parts, labels = [], []
    for batch in table.select([image, label] if image else table.columns).batches():
        parts.append(_planes(batch.column(image), table.columns[image].shape) if image else _columns(batch, label))
        labels.append(batch.column(label))
        count(before := before + batch.num_rows)
    if not parts:
        raise tables.TableError("has no rows")
    return np.concatenate(parts), _numbered(pa.chunked_array(labels))


def _label_of(table: tables.Table) -> str:
    if len(table.columns) < 2:
        raise tables.TableError("has no label column beside the pixels")
    named = [name for name in table.columns if name.strip().lower() in LABELS]
    return named[0] if named else list(table.columns)[-1]


def _planes(pictures: pa.Array, shape: tuple[int, ...]) -> np.ndarray:
    """(height, width, channel) lists as (n, channel, height * width)."""
    flat = np.asarray(pictures.flatten())  # type: ignore[attr-defined]
    if pictures.null_count or shape[2] != CHANNELS:
        raise tables.TableError("contains missing images or images without three colour channels")
    return flat.reshape(len(pictures), -1, CHANNELS).transpose(0, 2, 1)


def _columns(batch: pa.RecordBatch, label: str) -> np.ndarray:
    """Number columns as bytes (n, channel, pixels)."""
    values = np.stack([batch.column(name) for name in batch.schema.names if name != label], axis=1)
    if values.dtype.kind != "f" or values.shape[1] % CHANNELS:
        raise tables.TableError(f"has {values.shape[1]} columns beside {label}, not three planes of numbers")
    if not np.all((values >= 0) & (values <= 255) & (values % 1 == 0)):  # false for missing values, which are NaN
        raise tables.TableError("contains pixels that are not whole numbers from 0 to 255")
    found = values.astype(np.uint8)
    return found.reshape(len(found), CHANNELS, -1)


def _numbered(labels: pa.ChunkedArray) -> np.ndarray:
    """Labels as numbers from 0 on: unchanged, or by the alphabetical order of their names."""
    if labels.null_count:
        raise tables.TableError("has images without a label")
    values = np.asarray(labels)
    if values.dtype.kind != "f":
        return np.unique(values, return_inverse=True)[1].astype(np.int64)
    if not np.isin(values, range(CLASSES)).all():
        raise tables.TableError(f"has labels other than 0 to {CLASSES - 1}")
    return values.astype(np.int64)


def _checked(
    place: Path, train: np.ndarray, test: np.ndarray, train_labels: np.ndarray, test_labels: np.ndarray
) -> Pictures:
    for wrong, words in (
        (len(train) + len(test) < LEAST, f"{len(train) + len(test)} images are too few"),
        (train.shape[1:] != test.shape[1:], "training and test images differ in size"),
        (max(train_labels.max(), test_labels.max()) >= CLASSES, f"there are more than {CLASSES} classes"),
    ):
        if wrong:
            raise Unavailable(f"{place}: {words}; {WHERE}")
    held = (train, train_labels, test, test_labels)
    return Pictures(*(torch.from_numpy(np.ascontiguousarray(part)) for part in held))


def described(place: Path, pictures: Pictures) -> Iterator[str]:
    """The data, one line each."""
    mean, spread = pictures.channels
    yield f"Data: {place.name}, {len(pictures.train)} training and {len(pictures.test)} test images."
    told = ", ".join(
        f"{m:.4f} ({s:.4f})" for m, s in zip(mean.flatten().tolist(), spread.flatten().tolist(), strict=True)
    )
    yield f"Mean (sd) of the channels in 0..1: {told}."
