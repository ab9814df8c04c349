"""Dense networks of one shape in parallel (lanes). Forward and backward pass by hand, in place, in float32."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from unstuck.tabular.fit.activation import ACTIVATIONS

Array = np.ndarray
ONE = np.float32(1)


def with_one(x: Array) -> Array:
    """x (n, d) float32 with a last column of ones, whose weights are the biases of `Dense`."""
    out = np.empty((x.shape[0], x.shape[1] + 1), np.float32)
    out[:, :-1], out[:, -1] = x, ONE
    return out


class Dense:
    """`lanes` networks d -> hidden ... -> k, whose parameters are the rows of one array.

    `flat` and `gradient` have shape (lanes, parameters); `weights[i]`, (lanes, in + 1, out), are views into `flat`.
    Their last row holds the biases: every layer's input ends in a 1, which saves an addition per product and a sum per
    bias. An input of (1, b, d + 1) is shared by the lanes; with (lanes, b, d + 1) each lane has its own.
    """

    def __init__(self, sizes: tuple[int, ...], lanes: int, activation: str = "relu", dtype: type = np.float32) -> None:
        self.sizes, self.lanes = sizes, lanes
        self.act = ACTIVATIONS[activation]
        self.parameters = self.count(sizes)
        self.flat = np.zeros((lanes, self.parameters), dtype)
        self.gradient = np.zeros_like(self.flat)
        self.weights, self._slopes = self._views(self.flat), self._views(self.gradient)
        self._turned = [w[:, :-1].transpose(0, 2, 1) for w in self.weights]
        self._room: dict[int, _Room] = {}

    @staticmethod
    def count(sizes: tuple[int, ...]) -> int:
        """The number of parameters of one network."""
        return sum((a + 1) * b for a, b in pairwise(sizes))

    def _views(self, flat: Array) -> list[Array]:
        ends = np.cumsum([(a + 1) * b for a, b in pairwise(self.sizes)])[:-1]
        parts = np.split(flat, ends, axis=1)
        return [p.reshape(self.lanes, a + 1, b) for p, (a, b) in zip(parts, pairwise(self.sizes), strict=True)]

    def draw(self, seeds: list[int]) -> None:
        """Draw each lane's initial weights from its own seed: uniform, with the variance that the activation preserves.

        Weights have the variance gain^2 / in (He et al. 2015, section 2.2); hidden biases spread the units' thresholds
        over the standardised data. Output weights are a tenth of that size, so that the first predictions are near
        uniform.
        """
        for lane, seed in enumerate(seeds):
            rng = np.random.Generator(np.random.Philox(key=[seed, 0x5EED]))
            for i, w in enumerate(self.weights):
                last = i == len(self.weights) - 1
                bound = (0.1 if last else self.act.gain) * math.sqrt(3.0 / max(w.shape[1] - 1, 1))
                w[lane, :-1] = rng.uniform(-bound, bound, (w.shape[1] - 1, w.shape[2]))
                w[lane, -1] = 0.0 if last else rng.uniform(-1.0, 1.0, w.shape[2])

    def forward(self, x: Array) -> Array:
        """Logits, (lanes, b, k), in a buffer that the next call overwrites."""
        room = self._room_for(x.shape[1])
        room.inputs[0] = x
        for i, w in enumerate(self.weights[:-1]):
            np.matmul(room.inputs[i], w, out=room.inner[i])
            self.act.forward(room.before[i], room.inputs[i + 1], room.kept[i])
            if not self.act.keeps_one:
                room.inputs[i + 1][:, :, -1] = ONE
        return np.matmul(room.inputs[-1], self.weights[-1], out=room.logits)

    def backward(self, delta: Array) -> None:
        """Fill `gradient` from the derivative of the loss with respect to the last forward pass's logits, (b, k)."""
        room = self._room_for(delta.shape[1])
        for i in range(len(self.weights) - 1, -1, -1):
            np.matmul(room.inputs[i].transpose(0, 2, 1), delta, out=self._slopes[i])
            if i:
                # With one column a matrix product is an outer product, for which matmul takes twice as long.
                times = np.multiply if delta.shape[2] == 1 else np.matmul
                back = times(delta, self._turned[i], out=room.back[i - 1])
                self.act.backward(back, room.inner[i - 1], room.after[i - 1], room.kept_inner[i - 1])
                delta = back

    def decayed(self, decay: float) -> Array:
        """(1, parameters): `decay` for weights, 0 for biases."""
        parts = [np.repeat(np.array([decay, 0.0], np.float32), [a * b, b]) for a, b in pairwise(self.sizes)]
        return np.concatenate(parts)[None]

    def _room_for(self, rows: int) -> _Room:
        if rows not in self._room:
            if len(self._room) > 3:  # training batches, evaluation batches and their remainder
                self._room.clear()
            self._room[rows] = _Room(self.sizes, self.lanes, rows, self.flat.dtype)
        return self._room[rows]


class _Room:
    """The buffers of a pass over batches of one size, reused in every step; a hidden layer's end in a 1."""

    def __init__(self, sizes: tuple[int, ...], lanes: int, rows: int, dtype: np.dtype) -> None:
        wide = [(lanes, rows, h + 1) for h in sizes[1:-1]]
        self.before, self.kept = ([np.ones(s, dtype) for s in wide] for _ in range(2))
        self.inputs = [np.empty(0, dtype), *(np.ones(s, dtype) for s in wide)]
        self.inner, self.kept_inner = ([a[:, :, :-1] for a in arrays] for arrays in (self.before, self.kept))
        self.after = [a[:, :, :-1] for a in self.inputs[1:]]
        self.back = [np.empty((lanes, rows, h), dtype) for h in sizes[1:-1]]
        self.logits = np.empty((lanes, rows, sizes[-1]), dtype)
