"""AdamW (Loshchilov and Hutter 2019) over the rows of one array, in place, with a rate per lane."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
BETA1, BETA2 = 0.9, 0.99
"""The second moment averages over 100 steps, not 1000: runs are short, and gradients shrink during them."""
EPSILON = np.float32(1e-8)
_KEEP_M, _KEEP_V = np.float32(BETA1), np.float32(BETA2)


class AdamW:
    """The moments of (lanes, parameters) and their update; `decay`, (1, parameters), is each parameter's weight decay.

    The moments are kept without the factors 1 - beta, which are folded into the step size: two products fewer.
    """

    def __init__(self, shape: tuple[int, int], decay: Array | None = None, dtype: type = np.float32) -> None:
        self.steps = 0
        self.first, self.second = np.zeros(shape, dtype), np.zeros(shape, dtype)
        self.decay = decay
        self._room = np.empty(shape, dtype)

    def step(self, flat: Array, gradient: Array, rate: Array) -> None:
        """Update `flat` (lanes, parameters) with `gradient`, at `rate` (1 or lanes, 1); `gradient` is overwritten."""
        self.steps += 1
        t, m, v = self._room, self.first, self.second
        np.multiply(m, _KEEP_M, out=m)
        np.add(m, gradient, out=m)
        np.multiply(gradient, gradient, out=gradient)
        np.multiply(v, _KEEP_V, out=v)
        np.add(v, gradient, out=v)
        np.sqrt(v, out=t)
        np.add(t, EPSILON, out=t)
        np.divide(m, t, out=t)
        np.multiply(t, rate * np.float32(self._size()), out=t)
        if self.decay is not None:
            np.multiply(self.decay, -rate, out=gradient)
            np.multiply(gradient, flat, out=gradient)
            np.add(flat, gradient, out=flat)
        np.subtract(flat, t, out=flat)

    def _size(self) -> float:
        # m / (1 - b1^n) over sqrt(v / (1 - b2^n)), with m and v without their factors. Epsilon is inside, where it
        # still serves its purpose: to avoid 0 / 0.
        first = (1 - BETA1) / (1 - BETA1**self.steps)
        return first / math.sqrt((1 - BETA2) / (1 - BETA2**self.steps))
