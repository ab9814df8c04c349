"""How well the run as recorded learnt: the network's own outputs, scored against the best constant predictor."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, yardstick
from unstuck.tape import Pass, Tape

STRETCHES = 24
SCORED, ROWS = 480, 24_000
"""Passes scored at least, and rows: twenty passes and a thousand rows to a stretch."""


@dataclass(frozen=True)
class Learning:
    """Skill over the recorded passes. Batches are scored as they were trained on: before each update."""

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

    @classmethod
    def read(cls, tape: Tape) -> Learning:
        main, task = main_program(tape), Task.read(tape)
        yard = yardstick(tape, main, task)
        passes = [p for p in tape.passes if p.program == main or tape.programs[p.program].loss >= 0]
        losses = torch.tensor([p.loss for p in passes], dtype=torch.float64)
        rows = [_rows(tape, p, main, task, yard) for p in _asked(tape, passes, task)]
        parts = [r for r in rows if r is not None]
        stretched = _stretched(losses)
        if not parts:
            return cls(task, yard, tuple(_fallen(stretched)), tuple(stretched), None, len(passes))
        scores = [yard.score(chunk.sum(0)) for chunk in _chunks(torch.stack(parts))]
        skill = tuple(float(yard.skill(s)) for s in scores)
        last = torch.stack(parts)[int(0.75 * len(parts)) :].sum(0)
        return cls(task, yard, skill, tuple(stretched), float(yard.score(last)), len(passes))


def _asked(tape: Tape, passes: list[Pass], task: Task) -> list[Pass]:
    """Every so many passes of a long run: enough to tell how well it does, at a fraction of the work."""
    if not passes or task.target is None:
        return passes
    size = max(1, len(passes[0].outside) > task.target and tape.tensors[passes[0].outside[task.target]].numel())
    return passes[:: max(1, len(passes) // max(SCORED, ROWS // size))]


def _rows(tape: Tape, p: Pass, main: int, task: Task, yard: Yardstick) -> Tensor | None:
    if not p.output or p.program != main or task.target is None:
        return None
    return yard.rows(task, tape.tensors[p.output].unsqueeze(0), tape.tensors[p.outside[task.target]])[0]


def _chunks(rows: Tensor) -> list[Tensor]:
    return list(torch.tensor_split(rows, min(STRETCHES, len(rows))))


def _stretched(losses: Tensor) -> list[float]:
    return [float(c.mean()) for c in _chunks(losses)] if len(losses) else []


def _fallen(losses: list[float]) -> list[float]:
    """Where no task is known: the share of the first stretch's loss that is gone."""
    first = abs(losses[0]) if losses and losses[0] else 1.0
    return [max(-1.0, min(1.0, (losses[0] - x) / first)) if math.isfinite(x) else -1.0 for x in losses]
