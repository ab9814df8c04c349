"""Losses on logits, their derivatives, and the predictions from logits.

Shapes: logits z (lanes, b, k); targets y and weights w (1 or lanes, b, ...). Targets of a softmax are class numbers
(b,); all others have the shape of z. `slope` replaces z by d(loss)/dz in place; `losses` is the loss of every row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
TINY = 1e-7
"""Lower bound of a probability in a logarithm: the resolution of float32."""


@dataclass(frozen=True)
class Softmax:
    """One of k classes: cross-entropy on logits."""

    outputs: int

    def answers(self, z: Array) -> Array:
        """Probabilities, (lanes, b, k)."""
        p = np.exp(z - z.max(axis=-1, keepdims=True))
        return p / p.sum(axis=-1, keepdims=True)

    def slope(self, z: Array, y: Array) -> Array:
        """p - 1 at the class that is right, p elsewhere."""
        np.subtract(z, z.max(axis=-1, keepdims=True), out=z)
        np.exp(z, out=z)
        np.divide(z, z.sum(axis=-1, keepdims=True), out=z)
        lanes, rows = np.ogrid[: z.shape[0], : z.shape[1]]
        z[lanes, rows, y] -= 1
        return z

    def baseline(self, y: Array, w: Array | None) -> float:
        """The loss of predicting the class shares for every row."""
        share = np.bincount(y, weights=w, minlength=self.outputs) / (len(y) if w is None else w.sum())
        return self.cost(np.broadcast_to(share, (len(y), self.outputs)), y, w)

    def cost(self, answers: Array, y: Array, w: Array | None) -> float:
        """Mean -log p of the true classes, for probabilities (n, k)."""
        return float(np.average(self.each(answers, y), weights=w))

    def each(self, answers: Array, y: Array) -> Array:
        """The loss of every row, (n,)."""
        return -np.log(np.maximum(answers[np.arange(len(y)), y], TINY))

    def losses(self, z: Array, y: Array) -> Array:
        """-log p of the right class, (lanes, b)."""
        top = z.max(axis=-1)
        right = np.take_along_axis(z, np.broadcast_to(y, z.shape[:2])[..., None], -1)[..., 0]
        return np.log(np.exp(z - top[..., None]).sum(-1)) + top - right


@dataclass(frozen=True)
class Sigmoid:
    """Binary cross-entropy on logits, for one (binary) or k (multi-label) outputs."""

    outputs: int

    def answers(self, z: Array) -> Array:
        """Probabilities, (lanes, b, k)."""
        return 1 / (1 + np.exp(-np.clip(z, -60, 60)))

    def slope(self, z: Array, y: Array) -> Array:
        """p - y."""
        np.negative(z, out=z)
        np.minimum(z, np.float32(60), out=z)
        np.exp(z, out=z)
        np.add(z, np.float32(1), out=z)
        np.divide(np.float32(1), z, out=z)
        return np.subtract(z, y, out=z)

    def baseline(self, y: Array, w: Array | None) -> float:
        """The loss of predicting the mean for every row."""
        return self.cost(np.broadcast_to(np.average(y, axis=0, weights=w), y.shape), y, w)

    def cost(self, answers: Array, y: Array, w: Array | None) -> float:
        """Mean -log p of the true values, for probabilities (n, k)."""
        return float(np.average(self.each(answers, y), weights=w))

    def each(self, answers: Array, y: Array) -> Array:
        """The loss of every row, (n,)."""
        return -np.log(np.maximum(np.where(y > 0.5, answers, 1 - answers), TINY)).sum(axis=1)

    def losses(self, z: Array, y: Array) -> Array:
        """Summed over the outputs, (lanes, b)."""
        return (np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).sum(-1)


@dataclass(frozen=True)
class Squares:
    """Half the squared error, for standardised numbers."""

    outputs: int

    def answers(self, z: Array) -> Array:
        """The numbers themselves."""
        return z.copy()

    def slope(self, z: Array, y: Array) -> Array:
        """z - y."""
        return np.subtract(z, y, out=z)

    def baseline(self, y: Array, w: Array | None) -> float:
        """The loss of the best constant prediction."""
        return self.cost(np.broadcast_to(self.constant(y, w), y.shape), y, w)

    def constant(self, y: Array, w: Array | None) -> Array:
        """The best constant prediction, (outputs,): the mean."""
        return np.average(y, axis=0, weights=w)

    def cost(self, answers: Array, y: Array, w: Array | None) -> float:
        """The mean loss of predictions (n, k)."""
        return float(np.average(self.each(answers, y), weights=w))

    def errors(self, answers: Array, y: Array) -> Array:
        """(n, k) of mean 0 where the predictions are right."""
        return y - answers

    def nats(self, cost: float) -> float:
        """The loss that is one nat, where rows lose `cost` on average: the variance of a normal distribution."""
        return 2 * max(cost, 1e-9)

    def each(self, answers: Array, y: Array) -> Array:
        """The loss of every row, (n,)."""
        return 0.5 * np.square(answers - y).sum(axis=1)

    def losses(self, z: Array, y: Array) -> Array:
        """Summed over the outputs, (lanes, b)."""
        return 0.5 * np.square(z - y).sum(-1)


Loss = Softmax | Sigmoid | Squares
