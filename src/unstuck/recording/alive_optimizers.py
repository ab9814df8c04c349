"""The optimizers of the person's process, found among all objects: inside compiled code no hook tells of them."""

from __future__ import annotations

import gc
import weakref

from torch import Tensor
from torch.optim import Optimizer

SCANS = 40
"""How often all objects are searched."""


class AliveOptimizers:
    """Remembers those it has found, weakly."""

    def __init__(self) -> None:
        self._found: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self._scans = 0

    def all(self) -> list[Optimizer]:
        """Every one there is, as far as is known."""
        if not self._found:
            self._scan()
        return list(self._found)

    def holding(self, weights: list[Tensor]) -> list[Optimizer]:
        """Those that hold one of these weights."""
        wanted = {id(w) for w in weights}
        return self._among(wanted) or (self._among(wanted) if self._scan() else [])

    def _among(self, wanted: set[int]) -> list[Optimizer]:
        return [o for o in self._found if any(id(p) in wanted for g in o.param_groups for p in g["params"])]

    def _scan(self) -> bool:
        if self._scans >= SCANS:
            return False
        self._scans += 1
        self._found.update(o for o in gc.get_objects() if issubclass(type(o), Optimizer))
        return True


def version(optimizer: Optimizer) -> int:
    """A number that changes whenever one of its weights is written to."""
    return sum(p._version for group in optimizer.param_groups for p in group["params"])
