"""First weights of lanes: the recorded ones, and permutations of them that keep their distribution."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

LANES = 8


WIDE = 2**16
"""Numbers in a weight from which on whole blocks of it are permuted: a million single ones take longer than a step."""
BLOCK = 251
"""Numbers per block; a prime, so that blocks do not line up with rows."""


def starts(
    start: dict[str, Tensor], held: Collection[str], lanes: int = LANES, seed: int = 0, redrawn: bool = True
) -> dict[str, Tensor]:
    """Stacked starts, shape (lanes, *shape), of the weights that are held; others stay as they are.

    Lane 0 is the recording, the others permute each weight's entries (all are the recording unless `redrawn`). A
    permutation keeps every statistic of a tensor, its constants too: weights that all start at one stay so, and a bias
    of -4 stays -4.
    """
    draw = torch.Generator().manual_seed(seed) if redrawn else None
    return {name: _stack(weight, lanes, draw) if name in held else weight for name, weight in start.items()}


def _stack(weight: Tensor, lanes: int, draw: torch.Generator | None) -> Tensor:
    stacked = weight.expand(lanes, *weight.shape).clone()
    if draw is None or weight.numel() < 2:
        return stacked
    flat = weight.reshape(-1)
    for lane in stacked.view(lanes, -1)[1:]:
        _permute(flat, lane, draw)
    return stacked


def _permute(flat: Tensor, into: Tensor, draw: torch.Generator) -> None:
    if flat.numel() < WIDE:
        into.copy_(flat[torch.randperm(flat.numel(), generator=draw)])
        return
    blocks = flat.numel() // BLOCK
    whole, table = blocks * BLOCK, flat[: blocks * BLOCK].view(blocks, BLOCK)
    order, within = (torch.randperm(n, generator=draw) for n in (blocks, BLOCK))
    torch.index_select(table[order], 1, within, out=into[:whole].view(blocks, BLOCK))
