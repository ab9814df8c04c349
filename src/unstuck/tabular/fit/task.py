"""The kind of target: its encoding for the network, its loss, and the decoding of predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from unstuck.tabular.fit.grid import directions, evenly, leading, snapped
from unstuck.tabular.fit.loss import Loss, Sigmoid, Softmax, Squares
from unstuck.tabular.fit.pinball import Pinball
from unstuck.tabular.fit.quantiles import quantiles
from unstuck.tabular.moments import Moments

Array = np.ndarray
FINE = 2.0**-16
"""The grid of standardised targets: the resolution of float32 in -128..128."""
EDGE = 128.0
RANKS = 16


@dataclass(frozen=True, eq=False)
class Classes:
    """One of two or more classes; `labels` sorted, as the user wrote them."""

    labels: Array

    @property
    def loss(self) -> Loss:
        """Binary cross-entropy with one output for two classes, else softmax."""
        k = len(self.labels)
        return Sigmoid(1) if k <= 2 else Softmax(k)

    def encode(self, y: Array) -> Array:
        """Class numbers (n,), or (n, 1) float32 for two classes. Raises KeyError for an unknown label."""
        at = np.searchsorted(self.labels, y)
        at = np.minimum(at, len(self.labels) - 1)
        wrong = self.labels[at] != y
        if wrong.any():
            raise KeyError(y[wrong][0])
        return at if len(self.labels) > 2 else at.astype(np.float32)[:, None]

    def strata(self, y: Array) -> Array:
        """Encoded targets by class."""
        return y if y.ndim == 1 else y[:, 0].astype(np.int64)

    def decode(self, answers: Array) -> Array:
        """Probabilities (n, classes) from the network's answers (n, outputs)."""
        if len(self.labels) == 1:
            return np.ones((len(answers), 1))
        p = answers.astype(np.float64)
        p = np.concatenate([1 - p, p], axis=1) if len(self.labels) == 2 else p
        return p / p.sum(axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class Labels:
    """Any number of k labels at once."""

    names: tuple[str, ...]

    @property
    def loss(self) -> Loss:
        """Binary cross-entropy, one output per label."""
        return Sigmoid(len(self.names))

    def encode(self, y: Array) -> Array:
        """(n, k) float32 of 0 and 1."""
        return np.asarray(y, np.float32)

    def strata(self, y: Array) -> Array:
        """The number of labels of each row."""
        return y.sum(axis=1).astype(np.int64)

    def decode(self, answers: Array) -> Array:
        """Probabilities (n, k)."""
        return answers.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Numbers:
    """k numbers, each standardised and with the longer tail pointing up: (k,) arrays."""

    mean: Array
    spread: Array
    sign: Array
    quantile: float | None = None
    """Which quantile is predicted, 0.5 where absolute errors count; None: the mean, where squared errors do."""

    @classmethod
    def of(cls, y: Array, weights: Array | None = None, quantile: float | None = None) -> Numbers:
        """Measure y (n, k)."""
        return replace(cls.seen(Moments.of(y, weights), y, weights), quantile=quantile)

    @classmethod
    def seen(cls, found: Moments, y: Array, weights: Array | None = None) -> Numbers:
        """From the moments of all targets and a sample of them."""
        spread = np.where(found.constant, 1.0, found.spread)
        knots = (quantiles(y, weights) - found.mean[:, None]) / spread[:, None]
        sign = leading(evenly(knots + knots[:, ::-1], FINE))
        if len(even := np.flatnonzero(sign == 0)):
            sign[even] = directions(evenly((y - found.mean) / spread, FINE), even, weights)
        return cls(found.mean, spread, np.where(found.constant, 0.0, sign))  # a constant target is predicted exactly

    @property
    def loss(self) -> Loss:
        """Squared error; for a quantile, the loss that is least there."""
        q = self.quantile
        if q is None:
            return Squares(len(self.mean))
        return Pinball(len(self.mean), tuple(1 - q if sign < 0 else q for sign in self.sign.tolist()))

    def encode(self, y: Array) -> Array:
        """(n, k) float32 on a grid."""
        z = (np.asarray(y, np.float64) - self.mean) / self.spread * self.sign
        return snapped(z, FINE, EDGE).astype(np.float32)

    def strata(self, y: Array) -> Array:
        """The rank of the first number, in sixteen steps."""
        return np.argsort(np.argsort(y[:, 0], kind="stable"), kind="stable") * RANKS // max(len(y), 1)

    def decode(self, answers: Array) -> Array:
        """In the units of the target, (n, k)."""
        return answers.astype(np.float64) * self.sign * self.spread + self.mean


Task = Classes | Labels | Numbers
