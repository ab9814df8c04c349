"""An input that is shifted as well as scaled, `x' = scale * x + offset`, in front of a first layer `W x + b`.

The function is the same with `W' = W / scale` and `b' = b - W' offset`: per unit a linear map T of the row (W, b). The
gradient transforms by T's inverse transpose, so descent with rates P follows the same path only with `P' = T P T^t`:

    P' = lr_W [[ 1/scale^2, -offset/scale^2 ], [ ..., lr_b/lr_W + sum(offset^2/scale^2) ]]

Rates per parameter form a diagonal matrix, and the off-diagonal entry is `-lr_W offset / scale^2`: 0 only if the
feature has no offset or its weights do not move (lr_W = 0). SGD, with or without momentum, can be given the full matrix
by mixing the gradients before each step (`Affine.descent`); Adam and similar optimizers divide entry by entry, which no
matrix of rates undoes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """`x' = scale * x + offset`, both of shape (d,), no zeros in scale. Weights: (units, d), biases: (units,)."""

    scale: Array
    offset: Array

    @classmethod
    def of(cls, scale: ArrayLike, offset: ArrayLike) -> Affine:
        """From numbers or one per feature. Raises ValueError for zeros in scale and for values that are not finite."""
        pair = np.broadcast_arrays(np.atleast_1d(np.asarray(scale, float)), np.asarray(offset, float))
        if not all(np.isfinite(side).all() for side in pair) or not pair[0].all():
            raise ValueError("scale and offset must be finite and scale not 0")
        return cls(*(side.copy() for side in pair))

    def weights(self, weight: Any, bias: Any) -> tuple[Any, Any]:
        """The same layer for x': `(W', b')`. Takes numpy arrays or torch tensors, like the other methods."""
        scale, offset = self._as(weight)
        moved = weight / scale
        return moved, bias - moved @ offset

    def gradients(self, weight: Any, bias: Any) -> tuple[Any, Any]:
        """The gradients on x', from those on x: every column gets a share of the bias's."""
        scale, offset = self._as(weight)
        return weight * scale + bias[:, None] * offset, bias

    def descent(self, weight: Any, bias: Any, ratio: float = 1.0) -> tuple[Any, Any]:
        """Gradients on x' mixed so that SGD with its rates for x follows the path of x; `ratio` is lr_W / lr_b.

        First the bias's share is subtracted from every column (which is all that centring the input does), then both
        are converted to the units of x'.
        """
        scale, offset = self._as(weight)
        step = (weight - bias[:, None] * offset) / scale**2
        return step, bias - step @ offset * ratio

    @cached_property
    def matrix(self) -> Array:
        """T, shape (d + 1, d + 1): `(W', b') = T (W, b)` for every unit's row with its bias last."""
        size = len(self.scale)
        matrix = np.diag(np.append(1 / self.scale, 1.0))
        matrix[size, :size] = -self.offset / self.scale
        return matrix

    def rates(self, lr_weight: ArrayLike, lr_bias: float) -> Array:
        """P' = T P T^t, shape (d + 1, d + 1): the rates that SGD needs on x' to follow P = diag(lr) on x."""
        rates = np.append(np.broadcast_to(np.asarray(lr_weight, float), self.scale.shape), lr_bias)
        return self.matrix @ np.diag(rates) @ self.matrix.T

    @property
    def stretch(self) -> float:
        """Condition number of T T^t: the ratio of SGD's effective rates between directions on x'."""
        singular = np.linalg.svd(self.matrix, compute_uv=False)
        return float((singular[0] / singular[-1]) ** 2)

    def _as(self, like: Any) -> tuple[Any, Any]:
        if hasattr(like, "new_tensor"):
            return like.new_tensor(self.scale), like.new_tensor(self.offset)
        return self.scale, self.offset
