"""An input moved as well as scaled: `x' = scale * x + offset`, and what that does to a first layer `W x + b`.

The function stays with `W' = W / scale` and `b' = b - W' offset`: per unit a linear map T of the row (W, b). The
gradient goes by T's inverse transpose, so descent with rates P walks the same path only with the rates `P' = T P T^t`:

    P' = lr_W [[ 1/scale^2, -offset/scale^2 ], [ ..., lr_b/lr_W + sum(offset^2/scale^2) ]]

Rates per parameter are a diagonal matrix, and the corner beside it is `-lr_W offset / scale^2`: zero where a feature
has no offset or its weights do not move (lr_W = 0), and nowhere else. SGD, with momentum or without, can be given the
full matrix by mixing the gradients before each step (`Affine.descent`); Adam and its kin divide entry by entry, which
no matrix of rates undoes.
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
    """`x' = scale * x + offset`, both of shape (d,), no scale 0. Weights have shape (units, d), biases (units,)."""

    scale: Array
    offset: Array

    @classmethod
    def of(cls, scale: ArrayLike, offset: ArrayLike) -> Affine:
        """From numbers or one per feature. Raises ValueError on zeros in scale and on what is not finite."""
        pair = np.broadcast_arrays(np.atleast_1d(np.asarray(scale, float)), np.asarray(offset, float))
        if not all(np.isfinite(side).all() for side in pair) or not pair[0].all():
            raise ValueError("scale and offset must be finite and scale not 0")
        return cls(*(side.copy() for side in pair))

    def weights(self, weight: Any, bias: Any) -> tuple[Any, Any]:
        """The same layer for x': `(W', b')`. Takes numpy arrays or torch tensors, as do the other verbs."""
        scale, offset = self._as(weight)
        moved = weight / scale
        return moved, bias - moved @ offset

    def gradients(self, weight: Any, bias: Any) -> tuple[Any, Any]:
        """The gradients that x' gives, from those that x gives: every column gets a share of the bias's."""
        scale, offset = self._as(weight)
        return weight * scale + bias[:, None] * offset, bias

    def descent(self, weight: Any, bias: Any, ratio: float = 1.0) -> tuple[Any, Any]:
        """Gradients on x' mixed so that SGD's rates on x, unchanged, walk x's path; `ratio` is lr_W / lr_b.

        First the bias's share is taken out of every column (that is all that centring the input does), then both are
        carried to the units of x'.
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
        """P' = T P T^t, shape (d + 1, d + 1): the rates that SGD needs on x' to walk the path of P = diag(lr) on x."""
        rates = np.append(np.broadcast_to(np.asarray(lr_weight, float), self.scale.shape), lr_bias)
        return self.matrix @ np.diag(rates) @ self.matrix.T

    @property
    def stretch(self) -> float:
        """Condition number of T T^t: how far apart SGD's rates lie, by direction, when it trains on x' instead of x."""
        singular = np.linalg.svd(self.matrix, compute_uv=False)
        return float((singular[0] / singular[-1]) ** 2)

    def _as(self, like: Any) -> tuple[Any, Any]:
        if hasattr(like, "new_tensor"):
            return like.new_tensor(self.scale), like.new_tensor(self.offset)
        return self.scale, self.offset
