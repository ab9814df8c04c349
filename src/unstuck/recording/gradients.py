"""The norms of gradients, each read once, and in one transfer where they lie on another device."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.recording.versions import sample, version

PART = 4096
"""Numbers of a large gradient that are looked at to see whether it is zero."""


class _Known(NamedTuple):
    gradient: weakref.ref[Tensor]
    version: int
    sample: bytes
    norm: float


class Norms:
    """The norm of each gradient, taken anew only where it has changed since the last time."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    def of(self, gradients: Sequence[Tensor | None]) -> list[float | None]:
        """Their norms; None where there is no gradient."""
        fresh = [g for g in gradients if g is not None and not self._is_known(g)]
        for gradient, norm in zip(fresh, numbers([_norm(g) for g in fresh]), strict=True):
            mark = _Known(weakref.ref(gradient), version(gradient), sample([gradient]), norm)
            self._known[id(gradient)] = mark
        found = [None if g is None else self._known[id(g)].norm for g in gradients]
        self._known = {id(g): self._known[id(g)] for g in gradients if g is not None}
        return found

    def _is_known(self, gradient: Tensor) -> bool:
        known = self._known.get(id(gradient))
        same = known is not None and known.gradient() is gradient and known.version == version(gradient) >= 0
        return known is not None and same and known.sample == sample([gradient])


def total(norms: Sequence[float | None]) -> float | None:
    """The norm of all gradients together; None where there is none."""
    given = [n for n in norms if n is not None]
    return math.sqrt(math.fsum(n * n for n in given)) if given else None


def left_over(gradients: Sequence[Tensor | None], whole: bool) -> list[bool]:
    """Which gradients are there and not zero. `whole`: every number of a large one is looked at, not a part only."""
    there = [g for g in gradients if g is not None]
    parts = [g.detach() if whole or g.is_sparse else _part(g.detach()) for g in there]
    some = iter(numbers([(p.coalesce().values() if p.is_sparse else p).any() for p in parts]))
    return [g is not None and bool(next(some)) for g in gradients]


def numbers(values: Sequence[Tensor]) -> list[float]:
    """Some tensors of one number each as numbers: one transfer for each device."""
    found: dict[int, float] = {}
    for device in {v.device for v in values}:
        mine = [n for n, v in enumerate(values) if v.device == device]
        found |= zip(mine, torch.stack([values[n].float() for n in mine]).tolist(), strict=True)
    return [found[n] for n in range(len(values))]


def _norm(gradient: Tensor) -> Tensor:
    dense = gradient.detach()
    dense = dense.coalesce().values() if dense.is_sparse else dense
    return dense.float().norm()


def _part(tensor: Tensor) -> Tensor:
    flat = tensor.reshape(-1)
    return flat[:: -(-len(flat) // PART)] if len(flat) else flat
