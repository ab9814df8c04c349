"""Rows that may not be divided freely between training and held-out rows: rows of one group, and later rows.

Rows of a group are held out together, so that a score is one for new groups. With times, the latest rows are held out
and earlier ones are trained on, so that a score is one for the future; rows of one time stay together. With both, rows
of held-out groups are not trained on either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from unstuck.tabular.fit.batches import Split, dealt
from unstuck.tabular.fit.grid import marks
from unstuck.tabular.fit.refusal import CannotFit

Array = np.ndarray
MANY = 2000
"""With more groups, chance alone spreads rows and strata evenly over the parts."""
LATEST = 5
"""With times, one of at least so many parts of the rows is held out, the latest."""
CLASSES = 64
"""With more strata the size of a part alone is balanced."""


@dataclass(frozen=True, eq=False)
class Separation:
    """`group`: (n,) numbers of groups; `time`: (n,) times, in any unit; None where not given."""

    group: Array | None = None
    time: Array | None = None

    @classmethod
    def of(cls, groups: Any, time: Any) -> Separation | None:
        """From arrays (n,) of any type; None if neither is given. Raises CannotFit for missing values, for a single
        group, for a single time, and for times that are not numbers or dates."""
        if groups is None and time is None:
            return None
        return cls(None if groups is None else _codes(groups), None if time is None else _times(time))

    def take(self, index: Array) -> Separation:
        """Of some rows."""
        return Separation(*(None if one is None else one[index] for one in (self.group, self.time)))

    @property
    def given(self) -> list[Array]:
        """The groups and the times, as far as they are given."""
        return [one for one in (self.group, self.time) if one is not None]

    def marks(self) -> Array:
        """64 bits (n,) that differ where rows must not be merged."""
        codes = [np.unique(one, return_inverse=True)[1] for one in self.given]
        return marks(np.stack(codes, axis=1).astype(np.uint32))

    @property
    def groups(self) -> int:
        """How many groups there are; without groups, how many times."""
        return len(np.unique(self.given[0]))

    def parts(self, strata: Array, parts: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """An order of the rows and the part of each in that order, (n,), as `dealt` returns. With times, part 0 is the
        latest one, and the others are arbitrary."""
        if self.time is not None:
            parts = max(parts, LATEST)
            late = self.late(1 / parts)
            order, part = dealt(strata, parts - 1, rng, self.group)
            return order, np.where(late[order], 0, part + 1)
        assert self.group is not None
        if len(np.unique(self.group)) > MANY:
            return dealt(strata, parts, rng, self.group)
        order, _ = dealt(strata, parts, rng)
        return order, _balanced(self.group, strata, parts, rng)[order]

    def split(self, strata: Array, parts: int, lanes: int, rng: np.random.Generator) -> Split:
        """Training and held-out rows: (1, m) and (1, v) with times, else (lanes, m) and (lanes, v), where lane k holds
        out part k, and rows of smaller parts occur more than once."""
        order, part = self.parts(strata, parts, rng)
        if self.time is None:
            return ragged([order[part != k] for k in range(lanes)], [order[part == k] for k in range(lanes)])
        held, train = np.sort(order[part == 0]), order[part != 0]
        if self.group is not None:
            train = train[~np.isin(self.group[train], self.group[held])]
        if not len(train):
            raise CannotFit("no group ends before the latest rows begin: give either groups or times")
        return Split(train[None], held[None])

    def late(self, share: float) -> Array:
        """Which rows are the latest ones, about this share of them, (n,)."""
        assert self.time is not None
        times = np.sort(self.time)
        edge = times[len(times) - max(round(share * len(times)), 1)]
        late = self.time >= edge
        return late if 2 * late.sum() <= len(late) or times[-1] == edge else self.time > edge

    def held(self, strata: Array, share: float, rng: np.random.Generator) -> Array:
        """Which rows to hold out for an evaluation at the end, (n,): the latest ones, or whole groups."""
        if self.time is not None:
            return self.late(share)
        assert self.group is not None
        order, part = self.parts(strata, max(2, round(1 / share)), rng)
        sizes = np.bincount(part)
        off = np.where(sizes > 0, np.abs(sizes - share * len(part)), np.inf)
        held = np.zeros(len(order), bool)
        held[order] = part == int(off.argmin())
        return held

    def trained(self, held: Array) -> Array:
        """Which of the other rows may be trained on, (n,)."""
        if self.group is None:
            return ~held
        return ~held & ~np.isin(self.group, self.group[held])

    def units(self) -> Array:
        """What a bootstrap draws instead of rows, (n,): groups, or stretches of time as long as the cube root of the
        number of rows (Kuensch 1989)."""
        if self.group is not None:
            return self.group
        assert self.time is not None
        rank = np.argsort(np.argsort(self.time, kind="stable"), kind="stable")
        return rank // max(round(len(rank) ** (1 / 3)), 1)


def ragged(trains: list[Array], helds: list[Array]) -> Split:
    """A split from parts of different sizes: rows of the smaller ones are repeated evenly."""
    most, v = max(map(len, trains)), max(map(len, helds))
    return Split(np.stack([_stretched(one, most) for one in trains]), np.sort([_stretched(one, v) for one in helds]))


def _stretched(rows: Array, size: int) -> Array:
    return rows[np.arange(size) * len(rows) // size]


def _balanced(group: Array, strata: Array, parts: int, rng: np.random.Generator) -> Array:
    """The part of each row: groups from the largest on, each to the part that has the least of its strata."""
    codes, strata = np.unique(group, return_inverse=True)[1], np.unique(strata, return_inverse=True)[1]
    strata = strata if strata.max() < CLASSES else np.zeros_like(strata)
    counts = np.zeros((codes.max() + 1, strata.max() + 1))
    np.add.at(counts, (codes, strata), 1.0)
    turns = rng.permutation(len(counts))
    turns = turns[np.argsort(-counts[turns].sum(axis=1), kind="stable")]
    total, place = np.zeros((parts, counts.shape[1])), np.zeros(len(counts), np.int64)
    for one in turns:
        loads = (total * counts[one]).sum(axis=1)
        free = np.flatnonzero(total.sum(axis=1) == 0)
        place[one] = free[0] if len(free) else np.lexsort((total.sum(axis=1), loads))[0]
        total[place[one]] += counts[one]
    return place[codes]


def _codes(groups: Any) -> Array:
    cells = np.asarray(groups)
    if cells.ndim != 1:
        raise CannotFit(f"groups must be one value per row, not of shape {cells.shape}")
    if cells.dtype == object:
        if any(cell is None or cell != cell for cell in cells):
            raise CannotFit("groups has missing values")
        cells = cells.astype(np.str_)
    elif cells.dtype.kind in "fmM" and (cells != cells).any():
        raise CannotFit("groups has missing values")
    found, codes = np.unique(cells, return_inverse=True)
    if len(found) < 2:
        raise CannotFit(f"all rows are of the group {found[0].item()!r}: none can be held out")
    return codes


def _times(time: Any) -> Array:
    from unstuck.tabular.fit.cells import Column, as_numbers

    cells = np.asarray(time)
    if cells.ndim != 1:
        raise CannotFit(f"time must be one value per row, not of shape {cells.shape}")
    try:
        found = as_numbers(Column("time", cells, declared=False)).astype(np.float64)
    except (ValueError, TypeError):
        raise CannotFit("time must hold numbers or dates") from None
    if not np.isfinite(found).all():
        raise CannotFit("time has missing values")
    if found.min() == found.max():
        raise CannotFit("all rows are of one time: none is later than the others")
    return found
