"""First weights of lanes: the recorded ones, and permutations of them that keep their distribution."""

from __future__ import annotations

import torch
from torch import Tensor

LANES = 8


def starts(start: dict[str, Tensor], redrawn: set[str], lanes: int = LANES, seed: int = 0) -> dict[str, Tensor]:
    """Stacked starts, shape (lanes, *shape): lane 0 is the recording, the others permute each weight's entries.

    A permutation keeps every statistic of a tensor, its constants too: weights that all start at one stay so,
    and a bias of -4 stays -4. Only weights in `redrawn` are permuted: frozen ones stay.
    """
    draw = torch.Generator().manual_seed(seed)
    return {name: _stack(weight, lanes, draw if name in redrawn else None) for name, weight in start.items()}


def _stack(weight: Tensor, lanes: int, draw: torch.Generator | None) -> Tensor:
    if draw is None or weight.numel() < 2:
        return weight.expand(lanes, *weight.shape).clone()
    flat = weight.reshape(-1)
    rows = [flat, *(flat[torch.randperm(flat.numel(), generator=draw)] for _ in range(lanes - 1))]
    return torch.stack(rows).reshape(lanes, *weight.shape)
