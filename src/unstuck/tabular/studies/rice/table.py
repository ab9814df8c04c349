"""The rice table: where it is searched, its format, its splits and its scaling."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import torch
from torch import Tensor

from unstuck.tabular.studies.story import Unavailable

NAME = "rice.csv"
WHERE = (
    "pass it with --data FILE, put it into the folder in $UNSTUCK_DATA, or into the current folder as rice.csv: a "
    "table with a header, separated by ; , or tabs, only numbers, the class (0 or 1) last, optionally an id column "
    "first"
)
LEAST = 100
"""Minimum number of rows for three parts."""


@dataclass(frozen=True)
class Rice:
    """Measured columns x (n, columns) in float64, classes y (n,) of 0 and 1, ids (n,) if there is an id column."""

    path: Path
    names: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray | None

    def inputs(self, with_id: bool) -> np.ndarray:
        """The network's inputs (n, columns), with the id in front if requested."""
        return np.column_stack([self.ids, self.x]) if with_id and self.ids is not None else self.x


def find(asked: Path | None) -> Path:
    """The path given, in $UNSTUCK_DATA, or ./rice.csv. Raises Unavailable if there is none."""
    named = [asked] if asked else [Path(p) for p in (os.environ.get("UNSTUCK_DATA"), ".") if p]
    for place in named:
        file = place / NAME if place.is_dir() else place
        if file.is_file():
            return file
    missing = "the rice table was not found" if asked is None else f"{asked} does not exist"
    raise Unavailable(f"no {NAME} in {asked}; {WHERE}" if asked and asked.is_dir() else f"{missing}; {WHERE}")


def read(path: Path) -> Rice:
    """Read the table. Raises Unavailable with one line if it is invalid."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            heading = file.readline()
        mark = max(";,\t", key=heading.count)
        table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=mark))
        columns = [np.asarray(c.to_numpy(), dtype=np.float64) for c in table.columns]
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise Unavailable(f"{path} is not a readable table ({str(error).splitlines()[0]}); {WHERE}") from None
    return _checked(path, table.column_names, columns)


def _checked(path: Path, names: list[str], columns: list[np.ndarray]) -> Rice:
    has_id = names[0].strip().lower() == "id"
    measured, y = columns[has_id:-1], columns[-1]
    for wrong, words in (
        (len(measured) < 2, "it has too few columns"),
        (len(y) < LEAST, f"it has {len(y)} rows"),
        (set(np.unique(y)) != {0.0, 1.0}, f"its last column {names[-1]} is not a class of 0 and 1"),
        (not all(np.isfinite(c).all() for c in columns), "it has missing values"),
    ):
        if wrong:
            raise Unavailable(f"{path}: {words}; {WHERE}")
    return Rice(path, tuple(names[has_id:-1]), np.column_stack(measured), y, columns[0] if has_id else None)


@dataclass(frozen=True)
class Split:
    """Row numbers of one seed: 70, 15 and 15 percent, drawn anew for every seed."""

    train: Tensor
    val: Tensor
    test: Tensor


def sizes(rows: int) -> tuple[int, int, int]:
    """The numbers of training, validation and test rows: the rest after 70 % is halved."""
    train = int(rows * 0.7)
    return train, (rows - train) // 2, rows - train - (rows - train) // 2


def split(rows: int, generator: torch.Generator) -> Split:
    """A random split."""
    return Split(*torch.randperm(rows, generator=generator).split(sizes(rows)))


def _some(scale: np.ndarray) -> np.ndarray:
    """The scale, 1 for a constant column."""
    return np.where(scale > 0, scale, 1.0)


FORMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "raw": lambda x, seen: x,
    "max-abs": lambda x, seen: x / _some(np.abs(seen).max(0)),
    "z-score": lambda x, seen: (x - seen.mean(0)) / _some(seen.std(0)),
}
"""A form of the inputs x, with statistics over the rows `seen`."""
FACTORS = tuple(10.0**k for k in range(-3, 6))


def stretched(factor: float) -> str:
    """The form max-abs times a factor: values in [-1, 1] become values in [-factor, factor]."""
    return f"max-abs x {factor:g}"


FORMS |= {stretched(f): (lambda x, seen, f=f: f * x / _some(np.abs(seen).max(0))) for f in FACTORS}
PLAIN = ("raw", "max-abs", "z-score")


def formed(x: np.ndarray, form: str, seen: Tensor | None = None) -> Tensor:
    """The network's inputs, float32 (n, columns); statistics over all rows or those in `seen`."""
    return torch.from_numpy(FORMS[form](x, x if seen is None else x[seen.numpy()])).float()
