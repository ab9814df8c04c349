"""Whether tensors were written to since the last look, without copies: torch's version counters, and a few numbers."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from unstuck.tape.tensors import raw

TENSORS, NUMBERS = 4, 16
"""So many tensors of a list leave so many of their numbers in a sample."""


def version(tensor: Tensor) -> int:
    """How often a tensor was written to in place; -1 where torch does not count (made under inference_mode)."""
    return -1 if tensor.is_inference() else tensor._version


def versions(weights: Iterable[Tensor]) -> int:
    """A number that grows with every write in place that torch counts; writes through `.data` and numpy are not."""
    return sum(map(version, weights))


def sample(weights: list[Tensor]) -> bytes:
    """A few numbers of a few of the weights, as bytes: sees the writes that torch does not count.

    Weights on another device than the CPU are left out, because reading them would wait for that device.
    """
    near = [t for t in weights if t.device.type == "cpu" and t.layout is torch.strided and t.numel()]
    chosen = near[:: max(1, len(near) // TENSORS)][: TENSORS - 1] + near[-1:]
    return b"".join(_numbers(t) for t in chosen)


def _numbers(tensor: Tensor) -> bytes:
    flat = tensor.detach()
    while flat.dim() > 1:
        flat = flat[0]
    return bytes(raw(flat.reshape(-1)[:NUMBERS].contiguous()))
