"""A learning curve: models fitted in the same way to parts of the rows, compared on rows held out from all of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.frame import Frame
from unstuck.tabular.fit.refusal import CannotFit
from unstuck.tabular.fit.separation import Separation

Array = np.ndarray
PARTS = (0.125, 0.25, 0.5, 1.0)
LEAST = 40
"""Fewest rows of a fit."""
HELD, MOST_HELD = 0.2, 5000
SLIGHT, NOTHING = 0.05, 1e-3
"""A gain below this share of the loss is slight, and so is a loss, in nats or as a share of the variance."""
CLEAR = 2.0
"""A difference counts from this many standard errors on."""

Fit = Callable[[Array], Callable[[Frame], Array]]
"""A fit to some of the rows, given by number: the predictions of the model."""


@dataclass(frozen=True)
class Growth:
    """The mean loss on held-out rows after fits to so many rows."""

    measure: str
    rows: tuple[int, ...]
    losses: tuple[float, ...]
    errors: tuple[float, ...]
    """Standard errors of the losses."""
    held: int
    gain: float = 0.0
    """By how much the last step, from half of the rows to all of them, lowered the loss, and its standard error."""
    gain_error: float = 0.0

    @property
    def helps(self) -> bool:
        """Whether the last doubling of the rows lowered the loss clearly."""
        return self.gain > CLEAR * self.gain_error

    @property
    def settled(self) -> bool:
        """Whether more than a slight gain of the last doubling can be excluded, or nothing is left to gain."""
        return self.gain + CLEAR * self.gain_error < SLIGHT * self.losses[-2] or self.losses[-1] < NOTHING

    @property
    def verdict(self) -> str:
        """One sentence: would more rows help?"""
        if len(self.rows) < 2:
            return "There are too few rows to say whether more would help."
        step = f"from {self.rows[-2]:,} to {self.rows[-1]:,} rows"
        change = (
            f"{'fell' if self.gain >= 0 else 'rose'} by {abs(self.gain):.3g} (standard error {self.gain_error:.2g})"
        )
        if self.helps:
            share = self.gain / self.losses[-2] if self.losses[-2] else 0.0
            return f"More rows would probably help: {step} the {self.measure} {change}, {share:.1%} of it."
        if self.settled:
            return f"More rows of this kind would hardly help: {step} the {self.measure} {change}."
        return f"Whether more rows would help is open: {step} the {self.measure} {change}."


@dataclass(frozen=True, eq=False)
class Grown:
    """The curve, and the last model with the rows that it was not fitted to."""

    growth: Growth
    predict: Callable[[Frame], Array]
    held: Array


def grown(
    fit: Fit, frame: Frame, strata: Array, loss: Callable[[Array, Array], Array], measure: str, seed: int,
    separation: Separation | None = None,
) -> Grown:  # fmt: skip
    """Fit to parts of the rows. `strata` (n,): the held-out fifth is drawn evenly from rows in their order, or as
    `separation` has it; `loss` takes answers and row numbers and returns (n,). Raises CannotFit for too few rows."""
    rng = np.random.Generator(np.random.Philox(key=[seed, 0x6A0E]))
    held, rest = _divided(strata, rng, separation)
    sizes = sorted({n for n in (round(part * len(rest)) for part in PARTS) if n >= min(LEAST, len(rest))})
    if not len(held) or not sizes:
        raise CannotFit("too few rows to hold any out")
    models = [(n, _fitted(fit, np.sort(rest[:n]), last=n == sizes[-1])) for n in sizes]
    found = [(n, predict, loss(predict(frame.take(held)), held)) for n, predict in models if predict is not None]
    growth = _growth([n for n, _, _ in found], [losses for _, _, losses in found], measure)
    return Grown(growth, found[-1][1], held)


def _divided(strata: Array, rng: np.random.Generator, separation: Separation | None) -> tuple[Array, Array]:
    """Held-out rows, in order, and the others, at random."""
    n, share = len(strata), min(HELD, MOST_HELD / len(strata))
    if separation is not None:
        apart = separation.held(strata, share, rng)
        return np.flatnonzero(apart), rng.permutation(np.flatnonzero(separation.trained(apart)))
    order = rng.permutation(n)
    order = order[np.argsort(strata[order], kind="stable")]
    steps = np.floor((np.arange(n) + 1) * share) > np.floor(np.arange(n) * share)
    return np.sort(order[steps]), rng.permutation(order[~steps])


def _fitted(fit: Fit, rows: Array, last: bool) -> Callable[[Frame], Array] | None:
    """None where a part of the rows is too small for its groups."""
    try:
        return fit(rows)
    except CannotFit:
        if last:
            raise
        return None


def _growth(sizes: list[int], losses: list[Array], measure: str) -> Growth:
    n = len(losses[0])
    means = tuple(float(one.mean()) for one in losses)
    errors = tuple(float(one.std() / math.sqrt(n)) for one in losses)
    if len(losses) < 2:
        return Growth(measure, tuple(sizes), means, errors, n)
    last = losses[-2] - losses[-1]
    return Growth(measure, tuple(sizes), means, errors, n, float(last.mean()), float(last.std() / math.sqrt(n)))
