"""AdamW (Loshchilov and Hutter 2019) over the rows of one array, a rate per lane, in place."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
BETA1, BETA2 = np.float32(0.9), np.float32(0.99)
"""A second moment over 100 steps instead of 1000: the runs are short, and the gradient's size falls within them."""
EPSILON = np.float32(1e-8)


class AdamW:
    """The moments of `lanes` x `parameters` and their update. `decay`: 1 for weights, 0 for biases, times the rate."""

    def __init__(self, shape: tuple[int, int], decay: Array | float = 0.0) -> None:
        self.steps = 0
        self.first, self.second = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self.decay = np.asarray(decay, np.float32)
        self._room = np.empty(shape, np.float32)

    def step(self, flat: Array, gradient: Array, rate: Array) -> None:
        """Move `flat` (lanes, parameters) by `gradient`, at `rate` (lanes, 1)."""
        self.steps += 1
        t, m, v = self._room, self.first, self.second
        np.subtract(gradient, m, out=t)
        np.multiply(t, np.float32(1) - BETA1, out=t)
        np.add(m, t, out=m)
        np.multiply(gradient, gradient, out=t)
        np.subtract(t, v, out=t)
        np.multiply(t, np.float32(1) - BETA2, out=t)
        np.add(v, t, out=v)
        np.sqrt(v, out=t)
        np.add(t, EPSILON, out=t)
        np.divide(m, t, out=t)
        # Both bias corrections are one number here: epsilon stands after the second one's root in the paper, but it
        # only guards against 0 / 0.
        late = math.sqrt(1 - float(BETA2) ** self.steps) / (1 - float(BETA1) ** self.steps)
        np.multiply(t, rate * np.float32(late), out=t)
        if self.decay.any():
            np.multiply(flat, np.float32(1) - rate * self.decay, out=flat)
        np.subtract(flat, t, out=flat)
