"""Permutation importance (Breiman 2001; Fisher, Rudin and Dominici 2019): how much worse the predictions become when a
column's cells are shuffled among the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.explain.subject import Subject
from unstuck.tabular.fit.explain.units import Unit

Array = np.ndarray
REPEATS = 5
MOST = 200_000
"""Most predictions of all repeats and columns, and with them the number of rows."""
ROWS = (50, 1000)
SLIGHT = 0.01
"""Columns below this share of the highest importance are neither named nor drawn."""
ALIKE = 0.8
"""From this rank correlation on, numeric columns are also shuffled together: alone, each stands in for the other."""


@dataclass(frozen=True)
class Importance:
    """The mean rise of the loss by shuffling `columns` together, in each repeat; without targets, the mean absolute
    change of the predictions."""

    columns: tuple[str, ...]
    rises: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the repeats."""
        return float(np.mean(self.rises))


def importances(subject: Subject) -> tuple[Importance, ...]:
    """Of every column and of every group of correlated ones, the largest first."""
    groups = [(unit,) for unit in subject.units] + _alike(subject)
    few, most = ROWS
    some = subject.some(int(np.clip(MOST // (REPEATS * max(len(groups), 1)), few, most)))
    before = some.predict(some.frame)
    rng, found = some.rng, []
    for group in groups:
        rises = tuple(_rise(some, group, before, rng) for _ in range(REPEATS))
        found.append(Importance(tuple(unit.name for unit in group), rises))
    return tuple(sorted(found, key=lambda one: -one.mean))


def _rise(subject: Subject, group: tuple[Unit, ...], before: Array, rng: np.random.Generator) -> float:
    other, frame = subject.frame.take(rng.permutation(len(subject))), subject.frame
    for unit in group:
        frame = unit.taken(frame, other)
    after = subject.predict(frame)
    if subject.y is None:
        return float(np.abs(after - before).mean(axis=0).sum())
    return float((subject.losses(after) - subject.losses(before)).mean())


def _alike(subject: Subject) -> list[tuple[Unit, ...]]:
    """Groups of numeric columns that are connected by rank correlations."""
    numeric = [unit for unit in subject.units if unit.sort in ("number", "date")]
    if not 2 <= len(numeric) <= 200 or len(subject) < 3:
        return []
    linked = np.abs(_correlations(np.stack([unit.values(subject.frame) for unit in numeric], axis=1))) >= ALIKE
    left, groups = set(range(len(numeric))), []
    while left:
        group, waiting = set(), [min(left)]
        while waiting:
            group.add(j := waiting.pop())
            waiting += [k for k in np.flatnonzero(linked[j]).tolist() if k not in group]
        left -= group
        groups.append(tuple(numeric[j] for j in sorted(group)))
    return [group for group in groups if len(group) > 1]


def _correlations(x: Array) -> Array:
    """Rank correlations of columns (n, d), gaps in the middle: (d, d); 0 for constant ones."""
    z = np.stack([_ranks(np.where(np.isfinite(column), column, _middle(column))) for column in x.T], axis=1)
    z = z - z.mean(axis=0)
    size = np.sqrt(np.square(z).sum(axis=0))
    z = z / np.where(size > 0, size, np.inf)
    return z.T @ z


def _middle(column: Array) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _ranks(column: Array) -> Array:
    """Mean ranks, (n,)."""
    _, place, times = np.unique(column, return_inverse=True, return_counts=True)
    return (np.cumsum(times) - times / 2)[place]
