"""How many autograd graphs are alive at once: a mark on a loss's node lives exactly as long as the loss's graph."""

from __future__ import annotations

import weakref
from typing import Any

from torch import Tensor

STEPS = 2_000
"""Steps, from the first on, whose graphs are marked."""
EVERY = 16
"""The marks are counted after so many steps."""


class _Mark:
    __slots__ = ("__weakref__",)


class RetainedGraphs:
    """Counts the graphs that are alive at once."""

    def __init__(self) -> None:
        self.steps = 0
        self.most = 0
        """Graphs alive at the same moment."""
        self._marks: list[weakref.ref[_Mark]] = []

    def mark(self, loss: Tensor) -> None:
        """A backward has gone through this loss."""
        if loss.grad_fn is None or self.steps >= STEPS:
            return
        mark = _Mark()
        metadata: dict[str, Any] = loss.grad_fn.metadata  # type: ignore[assignment]  # torch declares it as a method
        metadata["unstuck"] = mark
        self._marks.append(weakref.ref(mark))
        del mark
        self.steps += 1
        if self.steps % EVERY == 0:
            self._marks = [m for m in self._marks if m() is not None]
            self.most = max(self.most, len(self._marks))
