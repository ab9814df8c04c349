"""Derive the two loss values of the thread's printed log from the other numbers in it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.tabular.studies.rice.training import BATCH, Course

ROWS = 18185
TRAIN_RIGHT, VAL_RIGHT = 44.9603, 46.4443
"""Percent, as printed in every epoch."""
PRINTED = (105.9250, 105.8375)
"""The training loss; no other value occurs in the log."""
CLAMPED = 100.0
"""BCELoss of a wrong output that is exactly 0.0 or 1.0: logarithms are clamped at -100."""
DIVISOR = 1000
"""The program divides its total by this, whatever the number of batches."""


@dataclass(frozen=True)
class Derivation:
    """What follows if every output is exactly 0.0: the split, the labels in it, and the printed loss."""

    split: tuple[int, int, int]
    train_ones: int
    val_ones: int
    last_one: float
    """The printed loss if the last training row, alone in its batch, has label 1."""
    last_zero: float
    """The printed loss if it has label 0."""


def derivations() -> list[Derivation]:
    """Every split into round percentages that the two printed accuracies allow, with what it implies."""
    return [
        _derived(split)
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
    """Whether some count out of `rows` is printed as this percentage."""
    return f"{100 * _count(rows, percent) / rows:.4f}" == f"{percent:.4f}"


def _count(rows: int, percent: float) -> int:
    return round(rows * percent / 100)


def _derived(split: tuple[int, int, int]) -> Derivation:
    # With p = 0 everywhere, only label 0 is counted as correct, so label 1 is the rest.
    train, val = split[0] - _count(split[0], TRAIN_RIGHT), split[1] - _count(split[1], VAL_RIGHT)
    last = [(total(split[0], train, y) + total(split[1], val, 0)) / DIVISOR for y in (1, 0)]
    return Derivation(split, train, val, *last)


def total(rows: int, ones: int, last: int) -> float:
    """The sum of BCELoss over batches of eight if every output is exactly 0.0 and the last row has label `last`.

    A row of label 1 costs 100, one of label 0 nothing; a batch's loss is the mean of its rows. The remaining rows after
    the full batches are a smaller batch, in which a row counts more.
    """
    left = rows % BATCH
    if left == 0:
        return ones * CLAMPED / BATCH
    if left > 1:
        return math.nan  # more than the last row matters
    return (ones - last) * CLAMPED / BATCH + last * CLAMPED


def confirmed(courses: list[Course], labels: list[tuple[int, int, int, int]]) -> tuple[int, int]:
    """(epochs whose loss equals the derived one, epochs in which every output was exactly 0.0).

    `labels`: per seed, number of training rows, ones among them, validation rows, ones among them.
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
