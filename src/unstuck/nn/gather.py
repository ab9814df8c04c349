"""Collect the arrays of all ranks of a torch.distributed group on every rank. Sends plain tensors, no pickles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray


def gathered(part: NDArray[np.float64], group: Any = None) -> list[NDArray[np.float64]]:
    """The arrays (rows, d) of all ranks in order; d must agree, the number of rows may differ.

    Raises RuntimeError without a process group.
    """
    if not (dist.is_available() and dist.is_initialized()):
        raise RuntimeError("torch.distributed is not initialised: call init_process_group first")
    device = torch.device("cuda", torch.cuda.current_device()) if "nccl" in dist.get_backend(group) else "cpu"
    lengths = [int(n) for n in _all(torch.tensor([len(part)], device=device), group)]
    padded = np.zeros((max(lengths), part.shape[1]))
    padded[: len(part)] = part
    whole = _all(torch.from_numpy(padded).to(device), group)
    return [rows.cpu().numpy()[:n] for rows, n in zip(whole, lengths, strict=True)]


def _all(tensor: torch.Tensor, group: Any) -> list[torch.Tensor]:
    into = [torch.empty_like(tensor) for _ in range(dist.get_world_size(group))]
    dist.all_gather(into, tensor, group=group)
    return into
