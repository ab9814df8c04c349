"""How far the columns of new rows differ from those of the training rows, as far as the model keeps them: 257 quantiles
of each number, and the frequency of each word."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.categories import Words
from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.explain.units import Unit
from unstuck.tabular.fit.frame import Frame

Array = np.ndarray
CLEAR = 0.1
"""A smaller distance is not reported, however many rows show it."""
SURE = 1.63
"""The distance of a sample from its own distribution exceeds this over the square root of its size once in a hundred
(Kolmogorov)."""


@dataclass(frozen=True)
class Drift:
    """The distance between the training rows and new ones in a column, 0 to 1: the largest difference of the cumulated
    shares of numbers (Kolmogorov and Smirnov), half the summed differences of the shares of words."""

    column: str
    distance: float
    drifted: bool
    """Whether the distance is clear, and larger than chance."""
    how: str


def drifts(encoder: Encoder, frame: Frame, units: tuple[Unit, ...]) -> tuple[Drift, ...]:
    """Of every column whose distribution is known, the farthest first."""
    if not len(frame):
        return ()
    place = {int(column): j for j, column in enumerate(encoder.numeric.kept)}
    standard = encoder.numeric.standard(np.asarray(frame.numbers))
    found = []
    for unit in units:
        if unit.sort == "words":
            found.append(_words(unit.name, encoder.words[unit.at], Counter(unit.values(frame).tolist())))
        elif unit.sort != "image" and unit.at in place and encoder.numeric.knots.size:
            j = place[unit.at]
            found += _numbers(encoder, j, unit, standard[:, j], frame)
    return tuple(sorted(found, key=lambda one: -one.distance))


def _numbers(encoder: Encoder, j: int, unit: Unit, z: Array, frame: Frame) -> Iterator[Drift]:
    known, knots = np.sort(z[np.isfinite(z)]), encoder.numeric.knots[j]
    gaps = 1 - len(known) / len(z)
    if not len(known):
        yield Drift(unit.name, 1.0, True, "missing in every row")
        return
    at = np.union1d(known, knots)
    new = np.searchsorted(known, at, side="right") / len(known)
    old = np.searchsorted(knots, at, side="right") / len(knots)
    distance = float(np.abs(new - old).max())
    outside = float(((known < knots[0]) | (known > knots[-1])).mean())
    before = encoder.numeric.centre[j] + knots[len(knots) // 2] * encoder.numeric.scale[j] * encoder.numeric.sign[j]
    own = unit.values(frame)
    now = float(np.median(own[np.isfinite(own)]))
    how = f"median {_shown(unit, before)} in training, {_shown(unit, now)} here; {outside:.1%} beyond the training rows"
    how += f"; {gaps:.1%} missing, none in training" if gaps and not encoder.numeric.gaps[j] else ""
    unheard = gaps > CLEAR and not encoder.numeric.gaps[j]
    yield Drift(unit.name, distance, unheard or distance > max(CLEAR, SURE / math.sqrt(len(known))), how)


def _shown(unit: Unit, value: float) -> str:
    if unit.sort == "date":
        return str(np.datetime64("1970-01-01") + np.timedelta64(round(value), "D"))
    return f"{value:.4g}"


def _words(name: str, words: Words, new: Counter[str | None]) -> Drift:
    """Words that have no input of their own are counted together."""
    n, rows = sum(new.values()), max(words.rows, 1)
    missing = 1 - words.there / rows
    old = {word: count / rows for word, count in zip(words.words, words.counts, strict=True)}
    shares = {word: count / n for word, count in new.items() if word in old}
    own_missing = new.get(None, 0) / n
    rest, own_rest = max(0.0, 1 - missing - sum(old.values())), max(0.0, 1 - own_missing - sum(shares.values()))
    apart = [abs(share - shares.get(word, 0.0)) for word, share in old.items()]
    distance = (sum(apart) + abs(missing - own_missing) + abs(rest - own_rest)) / 2
    how = f"{own_rest:.1%} words without an input of their own, {rest:.1%} in training"
    if old and max(apart) > max(abs(rest - own_rest), abs(missing - own_missing)):
        word = list(old)[int(np.argmax(apart))]
        how = f"{word}: {old[word]:.1%} in training, {shares.get(word, 0.0):.1%} here"
    elif abs(missing - own_missing) > abs(rest - own_rest):
        how = f"missing: {missing:.1%} in training, {own_missing:.1%} here"
    chance = math.sqrt((len(old) + 2) / n)  # twice the largest expected distance of a sample of n from k shares
    return Drift(name, distance, distance > max(CLEAR, chance), how)
