"""Prediction intervals by split conformal prediction (Vovk et al. 2005; Lei et al. 2018).

The errors of predictions for held-out rows, by networks that were not trained on them, are like those for new rows, if
new rows are drawn as the held-out ones were. An interval that leaves out a share of the held-out errors, rounded to the
safe side for the one new row, leaves out at most that share of new rows. Errors above and below are counted apart, so
that intervals of skewed targets are skewed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.refusal import CannotFit

Array = np.ndarray
MOST = 4096
"""Most errors that are kept; of more, evenly spaced ones in order of size."""


@dataclass(frozen=True, eq=False)
class Conformal:
    """The errors of held-out rows, target minus prediction, ascending per output: (m, k) in units of the target.
    `rows`: of how many rows."""

    errors: Array
    rows: int

    @classmethod
    def of(cls, errors: Array, counts: Array | None = None) -> Conformal:
        """From errors (v, k) of rows that stand for (v,) rows each; None: for one."""
        rows = len(errors) if counts is None else int(counts.sum())
        return cls(np.stack([_sorted(one, counts) for one in errors.T], axis=1), rows)

    def offsets(self, level: float) -> tuple[Array, Array]:
        """What to add to predictions to get the ends of an interval, (k,) each. Raises CannotFit for a level that is
        not a share, or that needs more held-out rows."""
        if not 0 < level < 1:
            raise CannotFit(f"the level of an interval must be between 0 and 1, not {level:g}")
        m = len(self.errors)
        out = (1 - level) / 2 * (self.rows + 1)
        if math.floor(out) < 1:
            need = math.ceil(2 / (1 - level)) - 1
            raise CannotFit(f"an interval of {level:g} needs {need:,} held-out rows; this model has {self.rows:,}")
        # Of many errors only some are kept: positions are rounded outwards.
        low = math.floor((math.floor(out) - 1) * ((m - 1) / max(self.rows - 1, 1)) + 1e-9)
        return self.errors[low], self.errors[m - 1 - low]

    def around(self, answers: Array, level: float) -> Array:
        """The ends of the intervals of predictions (n, k): (n, k, 2)."""
        low, high = self.offsets(level)
        return np.stack([answers + low, answers + high], axis=2)

    @property
    def valid(self) -> bool:
        """Whether the arrays can be errors."""
        there = self.errors.ndim == 2 and len(self.errors) > 0 and self.rows >= len(self.errors)
        return there and bool(np.isfinite(self.errors).all() and (np.diff(self.errors, axis=0) >= 0).all())


def _sorted(errors: Array, counts: Array | None) -> Array:
    """Ascending, as many times as each counts; at most MOST of them, the ends among them."""
    order = np.argsort(errors, kind="stable")
    total = np.cumsum(np.ones(len(errors)) if counts is None else counts[order])
    rows = max(round(float(total[-1])), 1)
    at = np.linspace(0, rows - 1, min(rows, MOST))
    at = np.where(np.arange(len(at)) < len(at) / 2, np.floor(at), np.ceil(at))  # outwards
    return errors[order][np.minimum(np.searchsorted(total, at + 0.5), len(errors) - 1)]
