"""In which order the classes arrive: whether the recorded batches are mixed or sorted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Tape

WINDOW = 16
"""Batches are taken together until they hold so many labels: a batch of one is always pure."""
FEWEST = 4
"""So many windows at least are needed to speak of an order."""
TURNS = 4
"""So many batches in a row of one class are an order, and no turns that classes take."""
MOST = 2000
"""So many windows are looked at."""


@dataclass(frozen=True)
class Order:
    """How mixed the batches are, between 0 (as if drawn at random) and 1 (one class after the other)."""

    sorted: float
    labels: int
    """How many labels were seen."""
    classes: int
    """How many classes were seen."""
    expected: int
    """How many classes the network tells apart (0 where unknown)."""
    blocks: float = 0.0
    """The same of several batches together: near 0 where batches of one class take turns."""

    @classmethod
    def read(cls, tape: Tape) -> Order:
        """Of the recorded passes; raises NotApplicable where there are no classes or too few batches."""
        task = Task.read(tape)
        if task.kind not in ("classes", "binary") or task.target is None:
            raise NotApplicable("the targets are not classes")
        number, slot = main_program(tape), task.target
        batches = [_classes(tape.tensors[p.outside[slot]]) for p in tape.passes if p.program == number]
        windows = _windows(batches)[:MOST]
        if len(windows) < FEWEST:
            raise NotApplicable("too few batches to speak of their order")
        together = [torch.cat(windows[i : i + TURNS]) for i in range(0, len(windows) - TURNS + 1, TURNS)]
        return _order(windows, task.classes, _sorted(together) if len(together) > 1 else 0.0)


def _classes(target: Tensor) -> Tensor:
    wide = target.dim() > 1 and target.shape[-1] > 1
    return (target.argmax(-1) if wide and target.is_floating_point() else target).reshape(-1).long()


def _windows(batches: list[Tensor]) -> list[Tensor]:
    found: list[Tensor] = []
    waiting: list[Tensor] = []
    for batch in batches:
        waiting.append(batch)
        if sum(len(b) for b in waiting) >= WINDOW:
            found.append(torch.cat(waiting))
            waiting = []
    return found


def _order(windows: list[Tensor], expected: int, blocks: float) -> Order:
    everything = torch.cat(windows)
    return Order(_sorted(windows), len(everything), len(everything.unique()), expected, blocks)


def _sorted(windows: list[Tensor]) -> float:
    """How far the windows' purity lies from that of random draws, as a share of the way to pure ones."""
    classes, numbers = torch.cat(windows).unique(return_inverse=True)
    chance = _purity(numbers, len(classes))
    excess = [_excess(part, len(classes), chance) for part in numbers.split([len(w) for w in windows])]
    return sum(excess) / len(excess)


def _purity(numbers: Tensor, classes: int) -> float:
    """The chance that two labels agree."""
    shares = torch.bincount(numbers, minlength=classes) / max(1, len(numbers))
    return float((shares**2).sum())


def _excess(part: Tensor, classes: int, chance: float) -> float:
    """How far a window's purity lies from what a random draw of its size would have, as a share of the way to 1."""
    drawn = chance + (1 - chance) / len(part)
    return (_purity(part, classes) - drawn) / (1 - drawn) if drawn < 1 else 0.0
