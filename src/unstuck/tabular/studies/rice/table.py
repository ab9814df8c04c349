"""The rice table: where it is looked for, which layouts are read, how it is split and scaled."""

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
    "give it with --data FILE, put it into the folder that $UNSTUCK_DATA names, or here as rice.csv: "
    "a table with a heading, separated by ; , or tabs, numbers only, the class (0 or 1) last, an id column first if any"
)
LEAST = 100
"""Rows below which there is nothing to split into three."""


@dataclass(frozen=True)
class Rice:
    """Measured columns x (n, columns) in float64, classes y (n,) of 0 and 1, ids (n,) where there is an id column."""

    path: Path
    names: tuple[str, ...]
    x: np.ndarray
    y: np.ndarray
    ids: np.ndarray | None

    def inputs(self, with_id: bool) -> np.ndarray:
        """What the network is given: (n, columns), the id in front where it was kept."""
        return np.column_stack([self.ids, self.x]) if with_id and self.ids is not None else self.x


def find(asked: Path | None) -> Path:
    """The file: what was asked for, $UNSTUCK_DATA, or ./rice.csv. Raises Unavailable where there is none."""
    named = [asked] if asked else [Path(p) for p in (os.environ.get("UNSTUCK_DATA"), ".") if p]
    for place in named:
        file = place / NAME if place.is_dir() else place
        if file.is_file():
            return file
    missing = "the rice table was not found" if asked is None else f"there is no {asked}"
    raise Unavailable(f"there is no {NAME} in {asked}; {WHERE}" if asked and asked.is_dir() else f"{missing}; {WHERE}")


def read(path: Path) -> Rice:
    """The table. Raises Unavailable, in one line, for what is not one."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            heading = file.readline()
        mark = max(";,\t", key=heading.count)
        table = pyarrow.csv.read_csv(path, parse_options=pyarrow.csv.ParseOptions(delimiter=mark))
        columns = [np.asarray(c.to_numpy(), dtype=np.float64) for c in table.columns]
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise Unavailable(f"{path} was not read as a table ({str(error).splitlines()[0]}); {WHERE}") from None
    return _checked(path, table.column_names, columns)


def _checked(path: Path, names: list[str], columns: list[np.ndarray]) -> Rice:
    has_id = names[0].strip().lower() == "id"
    measured, y = columns[has_id:-1], columns[-1]
    for wrong, words in (
        (len(measured) < 2, "it has too few columns"),
        (len(y) < LEAST, f"it has {len(y)} rows"),
        (set(np.unique(y)) != {0.0, 1.0}, f"its last column {names[-1]} is not a class of 0 and 1"),
        (not all(np.isfinite(c).all() for c in columns), "it has gaps"),
    ):
        if wrong:
            raise Unavailable(f"{path}: {words}; {WHERE}")
    return Rice(path, tuple(names[has_id:-1]), np.column_stack(measured), y, columns[0] if has_id else None)


@dataclass(frozen=True)
class Split:
    """Row numbers of one seed: 70, 15 and 15 parts in a hundred, drawn anew for every seed."""

    train: Tensor
    val: Tensor
    test: Tensor


def sizes(rows: int) -> tuple[int, int, int]:
    """How many rows train, validate and test: what is left over after 70 % is halved."""
    train = int(rows * 0.7)
    return train, (rows - train) // 2, rows - train - (rows - train) // 2


def split(rows: int, generator: torch.Generator) -> Split:
    """A random split."""
    return Split(*torch.randperm(rows, generator=generator).split(sizes(rows)))


def _some(scale: np.ndarray) -> np.ndarray:
    """A column that is everywhere the same (or zero) is left undivided."""
    return np.where(scale > 0, scale, 1.0)


FORMS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "raw": lambda x, seen: x,
    "max-abs": lambda x, seen: x / _some(np.abs(seen).max(0)),
    "z-score": lambda x, seen: (x - seen.mean(0)) / _some(seen.std(0)),
}
"""A form of the inputs x, with statistics over the rows `seen`."""
FACTORS = tuple(10.0**k for k in range(-3, 6))


def stretched(factor: float) -> str:
    """The form that is max-abs times a factor: what lies within one then lies within the factor."""
    return f"max-abs x {factor:g}"


FORMS |= {stretched(f): (lambda x, seen, f=f: f * x / _some(np.abs(seen).max(0))) for f in FACTORS}
PLAIN = ("raw", "max-abs", "z-score")


def formed(x: np.ndarray, form: str, seen: Tensor | None = None) -> Tensor:
    """The inputs as the network gets them: float32 (n, columns); statistics over all rows or those in `seen`."""
    return torch.from_numpy(FORMS[form](x, x if seen is None else x[seen.numpy()])).float()
