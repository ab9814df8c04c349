"""The thread's printed log as a witness: its two loss values, derived from nothing but the numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.tabular.studies.rice.training import BATCH, Course

ROWS = 18185
TRAIN_RIGHT, VAL_RIGHT = 44.9603, 46.4443
"""Percent, as printed in every epoch."""
PRINTED = (105.9250, 105.8375)
"""The training loss, which takes no third value in the whole log."""
CLAMPED = 100.0
"""BCELoss of a wrong answer that is exactly 0.0 or 1.0: its logarithms are cut off at -100."""
DIVISOR = 1000
"""What the program divides its total by, whatever the number of batches."""


@dataclass(frozen=True)
class Testimony:
    """What follows from the log if every output is exactly 0.0: the split, the labels in it, and the loss it prints."""

    split: tuple[int, int, int]
    train_ones: int
    val_ones: int
    last_one: float
    """The loss that is printed where the last training row, alone in its batch, has label 1."""
    last_zero: float
    """... and where it has label 0."""


def hear() -> list[Testimony]:
    """Every split into round percentages that the two printed accuracies allow, with what it implies."""
    return [
        _testimony(split)
        for split in sorted(set(_splits()))
        if _fits(split[0], TRAIN_RIGHT) and _fits(split[1], VAL_RIGHT)
    ]


def _splits() -> Iterator[tuple[int, int, int]]:
    """Train, validation and test of 18185 rows in steps of 5 %, rounded in either direction."""
    for train in range(50, 95, 5):
        for val in range(5, 100 - train, 5):
            for a in (math.floor(ROWS * train / 100), math.ceil(ROWS * train / 100)):
                for b in (math.floor(ROWS * val / 100), math.ceil(ROWS * val / 100)):
                    yield a, b, ROWS - a - b


def _fits(rows: int, percent: float) -> bool:
    """Whether some count out of so many rows is printed as this percentage."""
    return f"{100 * _count(rows, percent) / rows:.4f}" == f"{percent:.4f}"


def _count(rows: int, percent: float) -> int:
    return round(rows * percent / 100)


def _testimony(split: tuple[int, int, int]) -> Testimony:
    # With p = 0 everywhere what is counted right is label 0, so label 1 is the rest.
    train, val = split[0] - _count(split[0], TRAIN_RIGHT), split[1] - _count(split[1], VAL_RIGHT)
    last = [(total(split[0], train, y) + total(split[1], val, 0)) / DIVISOR for y in (1, 0)]
    return Testimony(split, train, val, *last)


def total(rows: int, ones: int, last: int) -> float:
    """The sum of BCELoss over batches of eight where every output is exactly 0.0 and the last row has label `last`.

    A row of label 1 costs 100, one of label 0 nothing; a batch's loss is the mean of its rows, and what is left over
    after the full batches is a smaller batch, in which a row counts for more.
    """
    left = rows % BATCH
    if left == 0:
        return ones * CLAMPED / BATCH
    if left > 1:
        return math.nan  # then more than the last row decides
    return (ones - last) * CLAMPED / BATCH + last * CLAMPED


def borne_out(courses: list[Course], labels: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """(epochs whose loss is exactly what the derivation says, epochs in which every output was exactly 0.0).

    `labels`: per seed, training rows, ones among them, validation rows, ones among them.
    """
    right = seen = 0
    for course in courses:
        rows, ones, val_rows, val_ones = labels[course.seed]
        epochs = zip(course.train_loss, course.val_loss, course.last_label, course.silent, strict=True)
        for train, val, last, silent in epochs:
            expected = total(rows, ones, int(last)) + total(val_rows, val_ones, 0)
            seen += silent
            right += silent and math.isclose(train + val, expected, rel_tol=1e-6)
    return right, seen
