"""Updates that the script writes itself (`p -= lr * p.grad`), and the learning rate that explains them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

COMPARED = 8
"""Hand-written updates are compared with the gradient for so many steps."""
EXACT = 1e-3
"""An update is plain gradient descent if it differs from rate x gradient by less than this share."""

Snapshot = tuple[Tensor, Tensor, Tensor]
"""A weight, a copy of its values at the last backward, and a copy of its gradient."""


class HandUpdates:
    """Compares weights with what they were at the last backward."""

    def __init__(self) -> None:
        self.rates: list[float] = []
        """Learning rates of the updates that were plain gradient descent."""
        self.other = 0
        """Updates that were something else."""
        self.written: set[int] = set()
        """Ids of the weights that the script sets."""
        self._snapshots: list[Snapshot] = []

    def snapshot(self, weights: list[Tensor]) -> None:
        """After a backward: what a later update is compared with."""
        self._snapshots = [(t, t.detach().clone(), t.grad.detach().clone()) for t in weights if t.grad is not None]

    def take(self, written: list[Tensor], stepped: bool) -> bool:
        """Whether the script updated weights by hand since the last backward. `stepped`: an optimizer did."""
        moved = [(t, old, g) for t, old, g in self._snapshots if not torch.equal(t.detach(), old)]
        self._snapshots = []
        if stepped or not (written or moved):
            return False
        self.written |= {id(t) for t in written or [t for t, _, _ in moved]}
        rate = _rate_of(moved)
        if rate is not None:
            self.rates.append(rate)
        elif moved and all(bool(torch.isfinite(t.detach()).all()) for t, _, _ in moved):
            self.other += 1
        return True


def _rate_of(moved: list[Snapshot]) -> float | None:
    """The learning rate of plain descent that explains an update; None where none does."""
    step = torch.cat([(old - t.detach()).flatten().double() for t, old, _ in moved]) if moved else torch.zeros(0)
    gradient = torch.cat([g.flatten().double() for _, _, g in moved]) if moved else torch.zeros(0)
    square = float(gradient @ gradient) if len(gradient) else 0.0
    if not square or not math.isfinite(square):
        return None
    rate = float(step @ gradient) / square
    off = float((step - rate * gradient).norm())
    return rate if off <= EXACT * float(step.norm()) else None
