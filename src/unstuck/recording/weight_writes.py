"""Calls that write to weights, or make a new weight of an old one: what a script's own updates consist of.

A write may go through an alias (`p.data.sub_(...)`, `p.detach()`, a view), which is known by its storage.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from unstuck.tape.site import Site

DEEP = 20
"""Frames that are searched for an optimizer's method."""
SETTERS = {
    torch.Tensor.__setitem__,
    torch.Tensor.data.__set__,  # type: ignore[attr-defined]
    torch.Tensor.requires_grad.__set__,  # type: ignore[attr-defined]
}
"""Calls that change their first argument and return nothing."""
MARKING = {
    torch.Tensor.requires_grad_,
    torch.Tensor.requires_grad.__set__,  # type: ignore[attr-defined]
    torch.Tensor.detach_,
    torch.Tensor.share_memory_,
}
"""Calls that change what a tensor is, and no number in it."""


class Born(NamedTuple):
    """A tensor that became a weight, and what it was computed from."""

    weight: Tensor
    sources: tuple[Tensor, ...]


class WeightWrites:
    """Collects them between two backwards. `sites`: the frames of the present call."""

    def __init__(self, sites: Callable[[], tuple[Site, ...]]) -> None:
        self._sites = sites
        self._storages: dict[int, Tensor] = {}
        self.clear()

    def clear(self) -> None:
        """A backward has come."""
        self._writer: Any = None
        self.rates: tuple[float, ...] = ()
        """The learning rates of the writer's groups, where it says them."""
        self.written: list[Tensor] = []
        self.born: dict[int, Born] = {}
        self.at: tuple[Site, ...] = ()
        """Where the first write stands."""

    def know(self, weights: Iterable[Tensor]) -> None:
        """From now on writes through aliases of these weights are seen too."""
        self._storages |= {key: w for w in weights if (key := _storage(w))}

    def made(self, weight: Tensor, sources: tuple[Tensor, ...]) -> None:
        """A tensor that was computed from others has become a weight."""
        self.born[id(weight)] = Born(weight, sources)

    def write(self, weights: list[Tensor]) -> None:
        """Weights were written to."""
        if not self.at:
            self.at, self._writer = self._sites(), _writer()
            self.rates = self._rates()
        self.written += weights
        self.know(weights)

    def writer_name(self) -> str:
        """The class of the optimizer that made the first write ("" where the script made it)."""
        return "" if self._writer is None else type(self._writer).__name__

    def groups(self) -> Any:
        """Its groups of weights, by the convention of torch; none where it has none."""
        return getattr(self._writer, "param_groups", ())

    def _rates(self) -> tuple[float, ...]:
        try:
            return tuple(float(group["lr"]) for group in self.groups())
        except Exception:  # a rate of some other kind
            return ()

    def behind(self, results: tuple[Tensor, ...]) -> list[Tensor]:
        """The weights that some of the results are aliases of."""
        found = ((key, self._storages.get(key)) for t in results if (key := _storage(t)))
        return [w for key, w in found if w is not None and _storage(w) == key]


def _writer() -> Any:
    """The object whose method is running that is used like an optimizer: it can step and clear gradients."""
    frame: FrameType | None = sys._getframe(2)
    for _ in range(DEEP):
        if frame is None:
            return None
        code = frame.f_code
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if callable(getattr(type(first), "step", None)) and callable(getattr(type(first), "zero_grad", None)):
            return None if isinstance(first, torch.nn.Module) else first
        frame = frame.f_back
    return None


def _storage(tensor: Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a sparse tensor, or one without memory of its own
        return 0


def changes_first(func: Any) -> bool:
    """Whether a call changes its first argument in place, by the naming rule of torch."""
    name = getattr(func, "__name__", "")
    if name.startswith("_foreach_"):
        return name.endswith("_")
    if name.startswith("__"):
        return func in SETTERS or (name.startswith("__i") and name not in ("__index__", "__invert__", "__int__"))
    return name.endswith("_") and not name.startswith("_")
