"""Weights whose first values come from numbers alone: nothing that was learnt, stored or computed was put into them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unstuck.recording.tracer import Entry, tensors

FILLS = {
    "bernoulli_", "cauchy_", "exponential_", "geometric_", "log_normal_", "normal_", "random_", "uniform_",
    "fill_", "zero_",
}  # fmt: skip
"""The samplers of torch that write in place (https://docs.pytorch.org/docs/stable/torch.html#in-place-random-sampling),
and the two that write one number."""
DEEP = 8
"""Calls between a weight and its copy on another device or of another type, at most."""


class FirstValues:
    """Told of each write to weights before the first step. `entries`: the calls so far."""

    def __init__(self, entries: Callable[[], Sequence[Entry]]) -> None:
        self._entries = entries
        self._filled: dict[int, weakref.ref[Tensor]] = {}

    def fresh(self, weight: Tensor) -> bool:
        """Whether a weight was filled with numbers, and nothing else was written to it."""
        reference = self._filled.get(id(weight))
        return reference is not None and reference() is weight

    def forget(self, weights: list[Tensor]) -> None:
        """What they were filled with is gone: stored values were loaded into them."""
        for weight in weights:
            self._filled.pop(id(weight), None)

    def wrote(self, weights: list[Tensor], func: Any, args: Any, kwargs: Any) -> None:
        """A call (None: not known) has written to weights."""
        changed, *given = [*tensors((args, kwargs)), *[None] * (func is None)]
        for weight in weights:
            if fills(func) and changed is not None and changed.numel() == weight.numel():
                self._filled[id(weight)] = weakref.ref(weight)
            elif changed is None or not all(self._same(t, weight) for t in given):
                self._filled.pop(id(weight), None)

    def _same(self, tensor: Tensor, weight: Tensor) -> bool:
        """Whether a tensor is the weight itself, perhaps on another device or of another type."""
        entries = self._entries()[-DEEP:]
        for entry in reversed(entries):
            if tensor is weight:
                return True
            if any(t is tensor for t in entry.results) and tensor.numel() == weight.numel():
                given = list(tensors((entry.args, entry.kwargs)))
                tensor = given[0] if len(given) == 1 else tensor
        return tensor is weight


def fills(func: Any) -> bool:
    """Whether a function fills a tensor with numbers, whatever stood there."""
    name = getattr(func, "__name__", "")
    return name in FILLS or (getattr(func, "__module__", "") == torch.nn.init.__name__ and name.endswith("_"))
