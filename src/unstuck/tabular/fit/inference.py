"""Predict with trained lanes: blocks of rows that stay in the cache, in float64.

Products are in float64, because in float32 a matrix product rounds a row differently from place to place, and the
prediction for a row would depend on the rows beside it. Exponentials are taken in float32, where they do not.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from unstuck.tabular.fit.loss import Loss
from unstuck.tabular.fit.train import Shape

Array = np.ndarray
BLOCK = 64
"""Rows predicted at once."""
ONE, FAR = np.float32(1), np.float32(60)
"""Beyond FAR, exp overflows float32 and the sigmoid is 0."""


def answers(shape: Shape, flat: Array, x: Array, loss: Loss) -> Array:
    """The mean of the lanes' predictions for x (n, inputs + 1), whose last column is 1: (n, outputs) float32.

    `flat`, (lanes, parameters): the weights, as `Dense` arranges them.
    """
    weights = _weights(flat.astype(np.float64), (x.shape[1] - 1, *shape.hidden, loss.outputs))
    rooms = [np.ones((len(flat), BLOCK, w.shape[2] + 1)) for w in weights[:-1]]
    out, block = np.empty((len(x), loss.outputs), np.float32), np.zeros((BLOCK, x.shape[1]))
    for at in range(0, len(x), BLOCK):
        part = x[at : at + BLOCK]
        block[: len(part)] = part  # always a whole block: a product of another size may round differently
        told = loss.answers(_logits(block[None], weights, rooms, _ACTIVATIONS[shape.activation]))
        out[at : at + BLOCK] = told.mean(axis=0)[: len(part)]
    return out


def _weights(flat: Array, sizes: tuple[int, ...]) -> list[Array]:
    """The layers' weights, (lanes, in + 1, out), biases in the last row."""
    ends = np.cumsum([(a + 1) * b for a, b in pairwise(sizes)])[:-1]
    parts = np.split(flat, ends, axis=1)
    return [p.reshape(len(flat), a + 1, b) for p, (a, b) in zip(parts, pairwise(sizes), strict=True)]


def _logits(x: Array, weights: list[Array], rooms: list[Array], act: Callable[[Array], None]) -> Array:
    """(lanes, BLOCK, outputs), from x (1, BLOCK, inputs + 1); the rooms' last columns are 1."""
    for w, room in zip(weights[:-1], rooms, strict=True):
        np.matmul(x, w, out=room[:, :, :-1])
        act(room)
        room[:, :, -1] = 1.0
        x = room
    return np.matmul(x, weights[-1])


def _relu(z: Array) -> None:
    np.maximum(z, 0.0, out=z)


def _silu(z: Array) -> None:
    e = np.negative(z, dtype=np.float32, casting="same_kind")
    np.minimum(e, FAR, out=e)
    np.exp(e, out=e)
    np.add(e, ONE, out=e)
    np.divide(z, e, out=z)


def _tanh(z: Array) -> None:
    z[:] = np.tanh(z.astype(np.float32))


_ACTIVATIONS = {"relu": _relu, "silu": _silu, "tanh": _tanh}
