"""Activations with their derivatives, in place.

`forward(z, out, keep)` writes act(z) into `out`, and into `keep` what the derivative needs; `backward(delta, z, out,
keep)` multiplies `delta` by the derivative. `gain` scales the initial weights so that the variance is preserved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
ZERO, ONE = np.float32(0), np.float32(1)
FAR = np.float32(60)
"""Beyond this, exp overflows float32 and the sigmoid is 0."""


@dataclass(frozen=True)
class Activation:
    """An activation and its derivative."""

    gain: float
    keeps_one: bool
    """Whether act(1) is 1."""
    forward: Callable[[Array, Array, Array], None]
    backward: Callable[[Array, Array, Array, Array], None]


def _relu(z: Array, out: Array, keep: Array) -> None:
    keep.fill(0)  # maximum against an array is three times as fast in numpy as against a scalar
    np.maximum(z, keep, out=out)


def _relu_back(delta: Array, z: Array, out: Array, keep: Array) -> None:
    np.multiply(delta, np.greater(z, ZERO), out=delta)


def _silu(z: Array, out: Array, keep: Array) -> None:
    np.negative(z, out=keep)
    np.minimum(keep, FAR, out=keep)
    np.exp(keep, out=keep)
    np.add(keep, ONE, out=keep)
    np.divide(ONE, keep, out=keep)
    np.multiply(z, keep, out=out)


def _silu_back(delta: Array, z: Array, out: Array, keep: Array) -> None:
    # d(z s)/dz = s + out (1 - s), and `keep` holds s = sigmoid(z).
    slope = np.subtract(ONE, keep)
    np.multiply(slope, out, out=slope)
    np.add(slope, keep, out=slope)
    np.multiply(delta, slope, out=delta)


def _tanh(z: Array, out: Array, keep: Array) -> None:
    np.tanh(z, out=out)


def _tanh_back(delta: Array, z: Array, out: Array, keep: Array) -> None:
    slope = np.multiply(out, out)
    np.subtract(ONE, slope, out=slope)
    np.multiply(delta, slope, out=delta)


ACTIVATIONS = {
    "relu": Activation(2.0**0.5, True, _relu, _relu_back),
    "silu": Activation(1.68, False, _silu, _silu_back),
    "tanh": Activation(1.59, False, _tanh, _tanh_back),
}
"""silu, tanh: 1 over the root mean square of the activation of a standard normal variable."""
