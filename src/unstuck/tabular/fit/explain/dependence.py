"""Partial dependence (Friedman 2001), also by groups of the column that a column interacts with most, and pairwise
interactions (Friedman and Popescu 2008)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from unstuck.tabular.fit.explain.subject import Subject
from unstuck.tabular.fit.explain.units import Unit
from unstuck.tabular.fit.frame import Frame

Array = np.ndarray
POINTS, WORDS = 12, 8
"""Values of a number, and most words, at which predictions are averaged."""
ROWS = 200
COLUMNS = 6
"""The most important columns are shown, and their pairs compared."""
PLACES, BESIDE = 30, 50
"""Points of a pair, and rows over which the predictions at a point are averaged."""
WEAK = 0.05
"""Interactions below this share of the spread of the predictions do not divide a curve."""


@dataclass(frozen=True)
class Curve:
    """Mean predictions at the values of a column, over some rows: `group` says which."""

    group: str
    means: tuple[tuple[float, ...], ...]
    """Per value, per output."""


@dataclass(frozen=True)
class Dependence:
    """The partial dependence on a column; `by`: the column whose values make the groups of the further curves."""

    column: str
    sort: str
    values: tuple[float | str, ...]
    curves: tuple[Curve, ...]
    by: str = ""


@dataclass(frozen=True)
class Interaction:
    """How far the predictions depend on two columns other than by a sum of one function of each: the root mean square
    of the rest, as a share of the standard deviation of the predictions (Friedman and Popescu's H, not divided by
    the joint effect of the pair, which makes weak pairs look strong)."""

    columns: tuple[str, str]
    strength: float


def interactions(subject: Subject, columns: list[str]) -> tuple[Interaction, ...]:
    """Of every pair of some columns, the strongest first."""
    picked = [unit for unit in subject.units if unit.name in columns and unit.sort != "image"]
    if len(subject) < 2 or len(picked) < 2:
        return ()
    places, beside = subject.some(PLACES).frame, subject.some(BESIDE).frame
    spread = float(np.sqrt((subject.of(subject.some(ROWS).frame) / subject.scale).var(axis=0).sum()))
    alone = {unit: _centred(subject, (unit,), places, beside) for unit in picked}
    found = []
    for a, b in combinations(picked, 2):
        rest = _centred(subject, (a, b), places, beside) - alone[a] - alone[b]
        size = float(np.sqrt(np.square(rest).mean(axis=0).sum()))
        found.append(Interaction((a.name, b.name), size / spread if spread > 0 else 0.0))
    return tuple(sorted(found, key=lambda one: -one.strength))


def _centred(subject: Subject, pair: tuple[Unit, ...], places: Frame, beside: Frame) -> Array:
    """The partial dependence on some columns at their values in the rows of `places`, less its mean: (n, outputs)."""
    frames = []
    for i in range(len(places)):
        here, frame = places.take(np.full(len(beside), i)), beside
        for unit in pair:
            frame = unit.taken(frame, here)
        frames.append(frame)
    means = np.stack([one.mean(axis=0) for one in subject.of_all(frames)]) / subject.scale
    return means - means.mean(axis=0)


def dependences(subject: Subject, columns: list[str], pairs: tuple[Interaction, ...]) -> tuple[Dependence, ...]:
    """Of some columns, in their order; groups are those of the strongest of `pairs` with the column."""
    known = {unit.name: unit for unit in subject.units}
    some = subject.some(ROWS)
    return tuple(
        _dependence(some, known[name], _partner(name, pairs, known)) for name in columns if known[name].sort != "image"
    )


def _partner(name: str, pairs: tuple[Interaction, ...], known: dict[str, Unit]) -> Unit | None:
    for pair in pairs:
        if name in pair.columns and pair.strength >= WEAK:
            return known[next(other for other in pair.columns if other != name)]
    return None


def _dependence(subject: Subject, unit: Unit, by: Unit | None) -> Dependence:
    values = _values(unit.values(subject.frame))
    every = subject.of_all([unit.fixed(subject.frame, value) for value in values]) if values else []
    groups = dict(_groups(by, subject.frame)) if by is not None and len(subject.outputs) == 1 else {}
    curves = [_curve("all rows", every, np.ones(len(subject), bool))]
    curves += [_curve(name, every, where) for name, where in groups.items()]
    shown = tuple("missing" if value is None else value for value in values)
    return Dependence(unit.name, unit.sort, shown, tuple(curves), by.name if by and groups else "")


def _curve(group: str, every: list[Array], where: Array) -> Curve:
    return Curve(group, tuple(tuple(one[where].mean(axis=0).tolist()) for one in every))


def _values(found: Array) -> list[float | str | None]:
    """The values of a column at which predictions are averaged: quantiles, or frequent words."""
    if found.dtype == object:
        return [word for word, _ in Counter(found.tolist()).most_common(WORDS)]
    known = found[np.isfinite(found)]
    if not len(known):
        return []
    distinct = np.unique(known)
    if len(distinct) <= POINTS:
        return distinct.tolist()
    return np.unique(np.quantile(known, np.linspace(0.02, 0.98, POINTS))).tolist()


def _groups(by: Unit, frame: Frame) -> Iterator[tuple[str, Array]]:
    """Rows by the value of another column: up to and above its median, or its three most frequent words."""
    found = by.values(frame)
    if found.dtype == object:
        for word in _values(found)[:3]:
            yield f"{by.name}: {'missing' if word is None else word}", np.array([one == word for one in found])
        return
    known = np.isfinite(found)
    middle = np.median(found[known]) if known.any() else 0.0
    middle = middle if (found[known] > middle).any() else np.unique(found[known])[-2:][0]
    for name, where in (("low", known & (found <= middle)), ("high", known & (found > middle))):
        if where.any():
            yield f"{by.name}: {name}", where
