"""The columns as a person knows them: a date with its parts and an image with its pixels are one unit each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from unstuck.tabular.fit.calendar import parts
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.roles import Roles

Array = np.ndarray
Sort = Literal["number", "date", "image", "words"]


@dataclass(frozen=True)
class Unit:
    """A column of a table: `width` columns of a frame's numbers from `at` on, or its column of words number `at`."""

    name: str
    sort: Sort
    at: int
    width: int = 1

    def values(self, frame: Frame) -> Array:
        """(n,): numbers, NaN where missing, or words, None where missing."""
        if self.sort == "words":
            return np.array([*frame.words[self.at], None], object)[:-1]
        return np.asarray(frame.numbers[:, self.at], np.float64)

    def taken(self, frame: Frame, other: Frame) -> Frame:
        """The frame with this unit's cells from another frame of as many rows."""
        if self.sort == "words":
            return self._worded(frame, other.words[self.at])
        numbers = frame.numbers.copy()
        numbers[:, self.at : self.at + self.width] = other.numbers[:, self.at : self.at + self.width]
        return replace(frame, numbers=numbers)

    def fixed(self, frame: Frame, value: float | str | None) -> Frame:
        """The frame with one value in all rows; not for images."""
        if self.sort == "words":
            return self._worded(frame, [value] * len(frame))
        numbers = frame.numbers.astype(np.float64)
        numbers[:, self.at] = value
        if self.width > 1:
            numbers[:, self.at + 1 : self.at + self.width] = parts(np.array([value], np.float64))
        return replace(frame, numbers=numbers)

    def _worded(self, frame: Frame, column: object) -> Frame:
        words = tuple(column if j == self.at else one for j, one in enumerate(frame.words))
        return replace(frame, words=words)  # type: ignore[arg-type]


def units(frame: Frame, who: Roles | None, names: list[str]) -> tuple[Unit, ...]:
    """The units of a frame. `who`: the kinds of its columns if it was read as a file is; `names`: those of all
    columns in order of numbers, then of words, else."""
    return tuple(_of_roles(who) if who is not None else _plain(frame, names))


def _of_roles(who: Roles) -> Iterator[Unit]:
    at = 0
    for name, kind in who.numbers.items():
        width = who.parts(kind)
        yield Unit(name, "image" if kind.shape else "date" if kind.name == "date" else "number", at, width)
        at += width
    yield from (Unit(name, "words", j) for j, name in enumerate(who.words))


def _plain(frame: Frame, names: list[str]) -> Iterator[Unit]:
    d = frame.numbers.shape[1]
    yield from (Unit(names[j], "number", j) for j in range(d))
    yield from (Unit(names[d + j], "words", j) for j in range(len(frame.words)))


def stacked(frames: list[Frame]) -> Frame:
    """The rows of several frames, one after the other."""
    columns = zip(*(one.words for one in frames), strict=True)
    words = tuple(np.concatenate([np.asarray(part, object) for part in column]) for column in columns)
    return Frame(np.concatenate([one.numbers for one in frames]), words, frames[0].names)
