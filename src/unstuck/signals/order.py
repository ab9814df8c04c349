"""Order of the classes: whether the recorded batches are shuffled or sorted."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import counted
from unstuck.tape.model import Tape

WINDOW = 16
"""Labels per window; smaller batches are joined, because a batch of one is always pure."""
FEWEST = 4
"""Windows, at least."""
TURNS = 4
"""Windows joined into a block: batches of one class in turns are pure, blocks of them are mixed."""
MOST = 2000
"""Windows, at most: a bound on time."""


@dataclass(frozen=True)
class Order:
    """How sorted the batches are, from 0 (random order) to 1 (one class after the other)."""

    sorted: float
    labels: int
    """Labels seen."""
    classes: int
    """Classes seen."""
    expected: int
    """Classes that the network predicts (0 if unknown)."""
    blocks: float = 0.0
    """The same for blocks of windows: near 0 if batches of one class alternate."""

    @classmethod
    def read(cls, tape: Tape) -> Order:
        """Read the recorded passes; NotApplicable if there are no classes or too few batches."""
        task = Task.read(tape)
        if task.kind not in ("classes", "binary") or task.target is None:
            raise NotApplicable("the targets are not classes")
        number = main_program(tape)
        targets = (task.wanted(lambda s, p=p: tape.tensors[p.outside[s]]) for p in tape.passes if p.program == number)
        batches = [_classes(t).reshape(-1)[counted(task, t)] for t in targets]
        windows = _windows(batches)[:MOST]
        if len(windows) < FEWEST:
            raise NotApplicable(f"fewer than {FEWEST * WINDOW} labels: too few to judge their order")
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
    """Mean purity of the windows, from 0 (random draws) to 1 (pure)."""
    classes, numbers = torch.cat(windows).unique(return_inverse=True)
    chance = _purity(numbers, len(classes))
    excess = [_excess(part, len(classes), chance) for part in numbers.split([len(w) for w in windows])]
    return sum(excess) / len(excess)


def _purity(numbers: Tensor, classes: int) -> float:
    """Purity: the chance that two labels are equal."""
    shares = torch.bincount(numbers, minlength=classes) / max(1, len(numbers))
    return float((shares**2).sum())


def _excess(part: Tensor, classes: int, chance: float) -> float:
    """Purity of a window, from 0 (a random draw of its size) to 1 (pure)."""
    drawn = chance + (1 - chance) / len(part)
    return (_purity(part, classes) - drawn) / (1 - drawn) if drawn < 1 else 0.0
