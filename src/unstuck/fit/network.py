"""Dense networks of one shape, side by side: lanes. Forward and backward by hand, in place, in float32."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from unstuck.fit.activation import ACTIVATIONS

Array = np.ndarray


class Dense:
    """`lanes` networks d -> hidden ... -> k, whose parameters are the rows of one array.

    `flat` and `gradient` have shape (lanes, parameters); `weights[i]` (lanes, in, out) and `biases[i]` (lanes, 1, out)
    are views into `flat`. An input of shape (1, b, d) is shared by all lanes, one of (lanes, b, d) is theirs each.
    """

    def __init__(self, sizes: tuple[int, ...], lanes: int, activation: str = "relu") -> None:
        self.sizes, self.lanes, self.activation = sizes, lanes, activation
        self.act = ACTIVATIONS[activation]
        self.parameters = self.count(sizes)
        self.flat = np.zeros((lanes, self.parameters), np.float32)
        self.gradient = np.zeros_like(self.flat)
        self.weights, self.biases = self._views(self.flat)
        self._dweights, self._dbiases = self._views(self.gradient)
        self._room: dict[tuple[int, ...], _Room] = {}

    @staticmethod
    def count(sizes: tuple[int, ...]) -> int:
        """Parameters of one network."""
        return sum((a + 1) * b for a, b in pairwise(sizes))

    def _views(self, flat: Array) -> tuple[list[Array], list[Array]]:
        weights, biases, at = [], [], 0
        for a, b in pairwise(self.sizes):
            weights.append(flat[:, at : at + a * b].reshape(self.lanes, a, b))
            biases.append(flat[:, at + a * b : at + a * b + b].reshape(self.lanes, 1, b))
            at += a * b + b
        return weights, biases

    def draw(self, seeds: list[int]) -> None:
        """Fill each lane's first weights from its own seed: uniform with the variance that the activation keeps.

        Weights have the variance gain^2 / in (He et al. 2015, section 2.2); hidden biases put each unit's threshold
        somewhere inside the standardised data. The outputs start at a tenth of that size: close to "no idea".
        """
        for lane, seed in enumerate(seeds):
            rng = np.random.Generator(np.random.Philox(key=[seed, 0x5EED]))
            for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
                last = i == len(self.weights) - 1
                bound = (0.1 if last else self.act.gain) * math.sqrt(3.0 / max(w.shape[1], 1))
                w[lane] = rng.uniform(-bound, bound, w.shape[1:])
                b[lane] = 0.0 if last else rng.uniform(-1.0, 1.0, b.shape[1:])

    def forward(self, x: Array) -> Array:
        """Logits, (lanes, b, k), in a buffer that the next call overwrites."""
        room = self._room_for(x.shape[1])
        room.inputs[0] = x
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            z = np.matmul(room.inputs[i], w, out=room.before[i])
            np.add(z, b, out=z)
            if i < len(self.weights) - 1:
                self.act.forward(z, room.after[i], room.scratch[i])
                room.inputs[i + 1] = room.after[i]
        return room.before[-1]

    def backward(self, delta: Array) -> None:
        """Fill `gradient` from the loss's derivative with respect to the logits of the last forward pass."""
        room = self._room_for(delta.shape[1])
        for i in range(len(self.weights) - 1, -1, -1):
            np.matmul(room.inputs[i].transpose(0, 2, 1), delta, out=self._dweights[i])
            np.add.reduce(delta, axis=1, keepdims=True, out=self._dbiases[i])
            if i:
                back = np.matmul(delta, self.weights[i].transpose(0, 2, 1), out=room.back[i - 1])
                self.act.backward(back, room.before[i - 1], room.after[i - 1], room.scratch[i - 1])
                delta = back

    def decayed(self, decay: float) -> Array:
        """(1, parameters): `decay` at the weights, 0 at the biases."""
        pairs = pairwise(self.sizes)
        parts = [np.repeat(np.float32([decay, 0.0]), [a * b, b]) for a, b in pairs]
        return np.concatenate(parts)[None]

    def _room_for(self, rows: int) -> _Room:
        if rows not in self._room:
            if len(self._room) > 2:  # validation and training have a size each; whoever needs more pays for it
                self._room.clear()
            self._room[rows] = _Room(self.sizes, self.lanes, rows)
        return self._room[rows]


class _Room:
    """The arrays that a pass over batches of one size needs, kept from step to step."""

    def __init__(self, sizes: tuple[int, ...], lanes: int, rows: int) -> None:
        hidden = [np.empty((lanes, rows, h), np.float32) for h in sizes[1:-1]]
        self.before = [*hidden, np.empty((lanes, rows, sizes[-1]), np.float32)]
        self.after, self.back, self.scratch = ([np.empty_like(h) for h in hidden] for _ in range(3))
        self.inputs: list[Array] = [np.empty(0)] * (len(sizes) - 1)
