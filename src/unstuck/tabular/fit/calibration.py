"""How far probabilities may be trusted: cooled by what held-out rows showed, never surer than the rows allow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from unstuck.tabular.fit.loss import Loss, Softmax, Squares

Array = np.ndarray
TEMPERATURES = (1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0)


@dataclass(frozen=True)
class Calibration:
    """`temperature` divides the logits (Guo et al. 2017); `rows`: as many rows as stand behind the answers."""

    temperature: float = 1.0
    rows: float = float("inf")

    @classmethod
    def of(cls, loss: Loss, answers: Array, y: Array, w: Array | None) -> Calibration:
        """The temperature at which answers (v, k) to held-out rows cost least."""
        if isinstance(loss, Squares):
            return cls()
        costs = [loss.cost(cls(temperature, len(y)).apply(answers, loss), y, w) for temperature in TEMPERATURES]
        return cls(TEMPERATURES[int(np.argmin(costs))], float(len(y)))

    def apply(self, answers: Array, loss: Loss) -> Array:
        """Cooled answers, (n, k). One more row, of which nothing is known, is counted with those behind them: of what
        was never seen to fail in n rows, n + 1 to 1 is the most that can be said."""
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
"""For answers that no held-out row has tested."""
