"""The loss of quantiles and of absolute errors (Koenker and Bassett 1978)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.loss import Squares
from unstuck.tabular.fit.refusal import CannotFit

Array = np.ndarray


@dataclass(frozen=True)
class Pinball(Squares):
    """The mean of q (y - z) where the target y is above the prediction z, and of (1 - q) (z - y) where it is below, for
    standardised numbers; its minimum is the quantile q of the target, at q = 0.5 the median. `levels`: q per output, of
    the standardised target, which may be turned around."""

    levels: tuple[float, ...] = ()

    @property
    def q(self) -> Array:
        """The levels, (outputs,) float32."""
        return np.array(self.levels, np.float32)

    def slope(self, z: Array, y: Array) -> Array:
        """-q below the target, 1 - q above it."""
        z[:] = (z > y) - self.q
        return z

    def constant(self, y: Array, w: Array | None) -> Array:
        """The best constant prediction, (outputs,)."""
        return np.array([quantile(one, q, w) for one, q in zip(y.T, self.levels, strict=True)])

    def each(self, answers: Array, y: Array) -> Array:
        """The loss of every row, (n,)."""
        return self.losses(answers, y)

    def losses(self, z: Array, y: Array) -> Array:
        """Summed over the outputs, (lanes, b)."""
        off = y - z
        return np.maximum(self.q * off, (self.q - 1) * off).sum(-1)

    def errors(self, answers: Array, y: Array) -> Array:
        """(n, k) of mean 0 where the predictions are right: the level minus whether the target is below."""
        return self.q - (y < answers)

    def bend(self, y: Array) -> Array:
        """(outputs,): half the width around the target where `smooth` replaces the kink, a tenth of the usual distance
        of targets (n, k) from their median."""
        far = np.median(np.abs(y - np.median(y, axis=0)), axis=0)
        return 0.1 * np.where(far > 0, far, np.maximum(np.std(y, axis=0), 1e-9))

    def smooth(self, z: Array, y: Array, bend: Array) -> Array:
        """The slope of a loss that is quadratic within `bend` of the target."""
        return np.clip((z - y) / (2 * bend) + 0.5, 0.0, 1.0) - self.q

    def nats(self, cost: float) -> float:
        """The loss that is one nat, where rows lose `cost` on average: the scale of a Laplace distribution."""
        return max(cost, 1e-9)


def quantile(values: Array, q: float, w: Array | None = None) -> float:
    """The lowest of some values (n,) that at least a share q of their weight does not exceed."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(np.ones(len(values)) if w is None else w[order])
    return float(values[order][min(np.searchsorted(total, q * total[-1]), len(values) - 1)])


def level_of(loss: str) -> float | None:
    """The level of a loss as users write it: None for `squared`, 0.5 for `absolute`, Q for `quantile:Q`. Raises
    CannotFit for other words."""
    if loss in ("squared", "absolute"):
        return None if loss == "squared" else 0.5
    name, _, level = str(loss).partition(":")
    try:
        q = float(level)
    except ValueError:
        q = 0.0
    if name != "quantile" or not 0 < q < 1:
        raise CannotFit(f"loss must be squared, absolute or quantile:Q with Q between 0 and 1, not {loss!r}")
    return q
