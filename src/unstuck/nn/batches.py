"""What people measure - arrays, tensors, loaders, any iterable of batches - as blocks of rows, (n, columns) each."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

BLOCK = 1 << 22
"""Numbers that leave one batch at a time, so that a whole data set may be one batch."""

FEW = 1 << 14
"""Numbers below which blocks wait for each other."""


def batches(data: Any) -> Iterator[Any]:
    """One array or tensor as it is; the batches of a loader, a Dataset or an iterable, of pairs the first member.

    torch's own random numbers stand afterwards where they stood before, though a loader draws from them.
    """
    if _is_array(data):
        yield data
        return
    if isinstance(data, Dataset):
        data = DataLoader(data, batch_size=256)
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | dict):
        raise TypeError(f"statistics are taken of arrays, tensors, loaders or batches, not of {type(data).__name__}")
    with torch.random.fork_rng(devices=[]):
        yield from map(_inputs, data)


def _inputs(batch: Any) -> Any:
    first = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not _is_array(first):
        raise TypeError(f"a batch is an array or tensor, or a list that begins with one, not {type(first).__name__}")
    return first


def _is_array(data: Any) -> bool:
    return isinstance(data, Tensor) or hasattr(data, "__array__")


def rows(batch: Any, sizes: Sequence[int], dims: Sequence[int]) -> Iterator[NDArray]:
    """Blocks (n, columns) of a batch in which the axes `dims` have the `sizes`; raises ValueError where they do not."""
    whole = _array(batch)
    found = [whole.shape[dim] if -whole.ndim <= dim < whole.ndim else None for dim in dims]
    if found != list(sizes):
        raise ValueError(
            f"expected sizes {tuple(sizes)} at axes {tuple(dims)} of a batch, whose shape is {whole.shape}"
        )
    last = np.moveaxis(whole, dims, range(-len(dims), 0))
    if last.ndim == len(dims):
        last = last[None]
    step = max(1, BLOCK // max(1, math.prod(last.shape[1:])))
    for start in range(0, len(last), step):
        yield last[start : start + step].reshape(-1, math.prod(sizes))


def together(blocks: Iterable[NDArray]) -> Iterator[NDArray]:
    """The same rows in fewer blocks: measuring 8 rows takes nearly as long as measuring a thousand.

    What waits is copied, for a source may fill the same array again and again.
    """
    waiting: list[NDArray] = []
    for block in blocks:
        alike = not waiting or waiting[0].dtype == block.dtype
        if waiting and (not alike or sum(map(len, waiting)) * block.shape[1] >= FEW):
            yield np.concatenate(waiting)
            waiting = []
        waiting.append(block.copy())
    if waiting:
        yield np.concatenate(waiting)


def _array(batch: Any) -> NDArray:
    if isinstance(batch, Tensor):
        here = batch.detach().cpu()
        return (here.float() if here.dtype == torch.bfloat16 else here).numpy()  # numpy has no bfloat16; exact
    return np.asarray(batch)
