"""What an exported model takes and returns: names of columns, words of categories, labels. No torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from unstuck.tabular.fit.arrays import Schema
from unstuck.tabular.fit.calendar import PARTS
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.roles import Roles
from unstuck.tabular.fit.task import Classes, Labels, Task

Array = np.ndarray
MISSING = -1
"""The code of a missing word."""


@dataclass(frozen=True)
class Category:
    """A column of words; word i has the code i, and every other word the code `len(words)`."""

    name: str
    words: tuple[str, ...]

    def codes(self, column: Any) -> Array:
        """The codes of n words, None where missing: (n,) int64."""
        place = {word: i for i, word in enumerate(self.words)}
        found = [MISSING if word is None else place.get(word, len(self.words)) for word in column]
        return np.array(found, np.int64)


@dataclass(frozen=True)
class Contents:
    """The columns that a model takes, in order, and what it returns."""

    numbers: tuple[str, ...]
    """Numeric inputs: numbers and truth values as they are, dates in days since 1970-01-01 (by the calendar in UTC),
    the pixels of an image one by one."""
    dates: tuple[bool, ...]
    """Whether month, weekday and hour of the input are taken too."""
    categories: tuple[Category, ...]
    labels: tuple[Any, ...]
    """The labels whose probabilities are returned; empty if numbers are."""

    @property
    def own(self) -> Array:
        """The places of `numbers` among the columns of a frame, in which the parts of a date follow it."""
        widths = np.array([1 + len(PARTS) if date else 1 for date in self.dates], np.int64)
        return np.cumsum(widths) - widths

    def inputs(self, frame: Frame) -> tuple[Array, Array]:
        """The rows of a frame as numbers (n, numbers) float64 and codes (n, categories) int64."""
        codes = [one.codes(column) for one, column in zip(self.categories, frame.words, strict=True)]
        numbers = np.asarray(frame.numbers, np.float64)[:, self.own]
        return numbers, np.stack(codes, axis=1) if codes else np.zeros((len(frame), 0), np.int64)

    def plain(self) -> str:
        """As JSON."""
        columns = {"numbers": self.numbers, "dates": [n for n, d in zip(self.numbers, self.dates, strict=True) if d]}
        words = {one.name: one.words for one in self.categories}
        return json.dumps(columns | {"categories": words, "labels": self.labels}, ensure_ascii=False)


def contents(encoder: Encoder, task: Task, schema: Schema, names: list[str]) -> Contents:
    """The contents of a model whose input columns are read by `schema`; `names`: theirs, empty if unknown."""
    who = schema.roles
    if who is not None:
        numbers, dates = _numbers(who)
        words = who.words
    else:
        names = names or [f"column {j}" for j in range(1, len(schema.words) + 1)]
        numbers = [name for name, text in zip(names, schema.words, strict=True) if not text]
        words = tuple(name for name, text in zip(names, schema.words, strict=True) if text)
        dates = [False] * len(numbers)
    categories = tuple(Category(name, _vocabulary(encoder, j)) for j, name in enumerate(words))
    return Contents(tuple(numbers), tuple(dates), categories, _labels(task))


def _numbers(who: Roles) -> tuple[list[str], list[bool]]:
    """The numeric inputs, and which of them have parts of a date."""
    names, dates = [], []
    for name, kind in who.numbers.items():
        dated = who.calendar and kind.name == "date"
        width = 1 if dated else who.parts(kind)
        names += [f"{name}[{i}]" for i in range(width)] if kind.shape else [name]
        dates += [dated] * width
    return names, dates


def _vocabulary(encoder: Encoder, column: int) -> tuple[str, ...]:
    """The words of a column that the model tells apart, those with an input of their own first."""
    effects = encoder.effects[column] if encoder.effects else None
    return tuple(dict.fromkeys((*encoder.words[column].words, *(effects.words if effects else ()))))


def _labels(task: Task) -> tuple[Any, ...]:
    if isinstance(task, Classes):
        return tuple(task.labels.tolist())
    return task.names if isinstance(task, Labels) else ()
