"""How well the run as recorded learnt: the network's own outputs, scored against the best constant predictor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, yardstick
from unstuck.tape.model import Pass, Tape

Thing = TypeVar("Thing")
STRETCHES = 24
SCORED, ROWS = 480, 24_000
"""Passes scored at least, and rows: twenty passes and a thousand rows to a stretch."""


@dataclass(frozen=True)
class Learning:
    """Skill over the run. Batches are scored as they were trained on: before each update."""

    task: Task
    yardstick: Yardstick
    skill: tuple[float, ...]
    """Per stretch of the run; 0 for the best constant predictor, 1 for perfection."""
    loss: tuple[float, ...]
    score: float | None
    """The metric over the last quarter."""
    passes: int

    @property
    def final(self) -> float:
        """Mean skill over the last quarter."""
        tail = self.skill[-max(1, len(self.skill) // 4) :]
        return sum(tail) / len(tail) if tail else 0.0

    @property
    def broke(self) -> bool:
        """The loss became NaN or infinite."""
        return any(not math.isfinite(x) for x in self.loss)

    @property
    def adrift(self) -> bool:
        """No task is known and the loss takes both signs (a policy's, one of two players'): its size says nothing."""
        return self.task.kind == "unknown" and min(self.loss, default=0.0) < 0 < max(self.loss, default=0.0)

    @classmethod
    def read(cls, tape: Tape) -> Learning:
        main, task = main_program(tape), Task.read(tape)
        yard = yardstick(tape, main, task)
        moments = _moments(tape, main)
        if not moments:
            return cls(task, yard, (), (), None, 0)
        losses = [torch.tensor([p.loss for _, p in part], dtype=torch.float64) for part in _stretches(moments)]
        stretched = tuple(float(part.mean()) for part in losses)
        rows = [(at, r) for at, p in _asked(tape, moments, task) if (r := _rows(tape, p, main, task, yard)) is not None]
        if not rows:
            return cls(task, yard, tuple(_fallen(stretched)), stretched, None, len(moments))
        sums = [torch.stack([r for _, r in part]).sum(0) for part in _stretches(rows)]
        skill = tuple(float(yard.skill(yard.score(part))) for part in sums)
        last = torch.stack([r for at, r in rows if at >= int(0.75 * (1 + rows[-1][0]))])
        return cls(task, yard, skill, stretched, float(yard.score(last.sum(0))), len(moments))


def _moments(tape: Tape, main: int) -> list[tuple[int, Pass]]:
    """The passes, each with its place in the run: those recorded one by one, and those watched here and there."""
    placed = [*enumerate(tape.passes), *zip(tape.late_at, tape.late, strict=True)]
    return [(at, p) for at, p in placed if p.program == main or tape.programs[p.program].loss >= 0]


def _stretches(moments: Sequence[tuple[int, Thing]]) -> list[list[tuple[int, Thing]]]:
    """Equal parts of the run; where nothing was watched in one, there are fewer."""
    parts: dict[int, list[tuple[int, Thing]]] = {}
    whole, count = moments[-1][0] + 1, min(STRETCHES, len(moments))
    for at, thing in moments:
        parts.setdefault(at * count // whole, []).append((at, thing))
    return list(parts.values())


def _asked(tape: Tape, moments: list[tuple[int, Pass]], task: Task) -> list[tuple[int, Pass]]:
    """Every so many passes of a long run: enough to tell how well it does, at a fraction of the work."""
    if tape.late:  # these are few already
        return moments
    known = (p.outside[task.target] for _, p in moments if task.target is not None and task.target < len(p.outside))
    size = next((tape.tensors[key].numel() for key in known), 1)
    return moments[:: max(1, len(moments) // max(SCORED, ROWS // max(size, 1)))]


def _rows(tape: Tape, p: Pass, main: int, task: Task, yard: Yardstick) -> Tensor | None:
    if not p.output or p.program != main or task.target is None:
        return None
    return yard.rows(task, tape.tensors[p.output].unsqueeze(0), tape.tensors[p.outside[task.target]])[0]


def _fallen(losses: Sequence[float]) -> list[float]:
    """Where no task is known: the share of the first stretch's loss that is gone."""
    first = abs(losses[0]) if losses and losses[0] else 1.0
    return [max(-1.0, min(1.0, (losses[0] - x) / first)) if math.isfinite(x) else -1.0 for x in losses]
