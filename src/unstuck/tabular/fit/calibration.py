"""Calibrate probabilities on held-out rows: temperature scaling, and a bound by the number of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.loss import Loss, Softmax, Squares

Array = np.ndarray
TEMPERATURES = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class Calibration:
    """`temperature` divides the logits (Guo et al. 2017); `rows`: the number of held-out rows."""

    temperature: float = 1.0
    rows: float = float("inf")

    @classmethod
    def of(cls, loss: Loss, answers: Array, y: Array, w: Array | None) -> Calibration:
        """The temperature with the lowest loss for predictions (v, k) of held-out rows."""
        if isinstance(loss, Squares):
            return cls()
        costs = [loss.cost(cls(temperature, len(y)).apply(answers, loss), y, w) for temperature in TEMPERATURES]
        return cls(TEMPERATURES[int(np.argmin(costs))], float(len(y)))

    def apply(self, answers: Array, loss: Loss) -> Array:
        """Calibrated predictions, (n, k). Laplace's rule: one more row of unknown outcome is added to the held-out
        ones, so that after n rows without an error the odds are at most n + 1 to 1."""
        if isinstance(loss, Squares):
            return answers
        p = answers.astype(np.float64) ** (1 / self.temperature)
        if isinstance(loss, Softmax):
            p, even = p / p.sum(axis=1, keepdims=True), 1.0 / loss.outputs
        else:
            p, even = p / (p + (1 - answers) ** (1 / self.temperature)), 0.5
        share = 1.0 / (self.rows + 1.0)
        return p * (1 - share) + even * share


UNCALIBRATED = Calibration()
"""For predictions without held-out rows."""
