"""One memory read with its axes in another order: what a reshape made of it, and what was meant."""

from __future__ import annotations

from torch import Tensor


def turned(tensor: Tensor, features_first: bool) -> Tensor:
    """(rows, channels, *along) or (rows, along, features): the same memory, the features read from the other side."""
    rows, *rest = tensor.shape
    if features_first:
        return tensor.reshape(rows, *rest[1:], rest[0]).movedim(-1, 1)
    return tensor.reshape(rows, rest[-1], *rest[:-1]).movedim(1, -1)
