"""Convert arrays, tensors, loaders and iterables of batches to blocks of rows, (n, columns) each."""

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
"""Maximum numbers per block, so that one batch may be a whole data set."""

FEW = 1 << 14
"""Smaller blocks are concatenated before they are measured."""


def batches(data: Any) -> Iterator[Any]:
    """An array or tensor as it is; the batches of a loader, a Dataset or an iterable; the first element of tuples.

    Restores torch's random state, from which a loader draws.
    """
    if _is_array(data):
        yield data
        return
    if isinstance(data, Dataset):
        data = DataLoader(data, batch_size=256)
    if not isinstance(data, Iterable) or isinstance(data, str | bytes | dict):
        raise TypeError(f"expected an array, tensor, loader or iterable of batches, not {type(data).__name__}")
    with torch.random.fork_rng(devices=[]):
        yield from map(_inputs, data)


def _inputs(batch: Any) -> Any:
    first = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not _is_array(first):
        raise TypeError(f"a batch must be an array or tensor, or a list starting with one, not {type(first).__name__}")
    return first


def _is_array(data: Any) -> bool:
    return isinstance(data, Tensor) or hasattr(data, "__array__")


def rows(batch: Any, sizes: Sequence[int], dims: Sequence[int]) -> Iterator[NDArray]:
    """Blocks (n, columns) of a batch whose axes `dims` have the `sizes`; raises ValueError if they do not."""
    whole = _array(batch)
    found = [whole.shape[dim] if -whole.ndim <= dim < whole.ndim else None for dim in dims]
    if found != list(sizes):
        raise ValueError(
            f"expected sizes {tuple(sizes)} at axes {tuple(dims)} of a batch, but its shape is {whole.shape}"
        )
    last = np.moveaxis(whole, dims, range(-len(dims), 0))
    if last.ndim == len(dims):
        last = last[None]
    step = max(1, BLOCK // max(1, math.prod(last.shape[1:])))
    for start in range(0, len(last), step):
        yield last[start : start + step].reshape(-1, math.prod(sizes))


def together(blocks: Iterable[NDArray]) -> Iterator[NDArray]:
    """The same rows in fewer blocks: measuring 8 rows takes nearly as long as measuring 1000.

    Waiting blocks are copied, because a source may reuse its array.
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
        return (here.float() if here.dtype == torch.bfloat16 else here).numpy()  # numpy has no bfloat16
    return np.asarray(batch)
