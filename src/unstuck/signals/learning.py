"""How well the recorded run learns: the network's own outputs, scored against the best constant prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from unstuck.signals.ranking import Ranking, ranking
from unstuck.signals.remembered import remembered
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, yardstick
from unstuck.tape.model import Pass, Tape

Thing = TypeVar("Thing")
STRETCHES = 24
"""Points of the curve."""
SCORED, ROWS = 480, 24_000
"""Passes and rows that are scored at least: 20 passes and 1,000 rows per stretch, so that a share of right answers has
a standard error below 0.016."""


@dataclass(frozen=True)
class Learning:
    """Skill over the run. Each batch is scored before its own update, on the targets that the loss counts."""

    task: Task
    yardstick: Yardstick
    skill: tuple[float, ...]
    """Per stretch of the run; 0 for the best constant prediction, 1 for perfection."""
    loss: tuple[float, ...]
    score: float | None
    """The metric over the last quarter."""
    passes: int
    ranking: Ranking | None = None
    """Of two classes: how its outputs order them, over the last quarter."""

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
        """The task is unknown and the loss takes both signs (policy gradients, GANs): its size says nothing."""
        return self.task.kind == "unknown" and min(self.loss, default=0.0) < 0 < max(self.loss, default=0.0)

    @classmethod
    def read(cls, tape: Tape) -> Learning:
        """The reading of a tape, made once."""
        return remembered(tape, cls, lambda: cls._read(tape))

    @classmethod
    def _read(cls, tape: Tape) -> Learning:
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
        quarter = int(0.75 * (1 + rows[-1][0]))
        last = torch.stack([r for at, r in rows if at >= quarter])
        order = ranking(tape, (p for at, p in moments if at >= quarter and p.program == main), task)
        return cls(task, yard, skill, stretched, float(yard.score(last.sum(0))), len(moments), order)


def _moments(tape: Tape, main: int) -> list[tuple[int, Pass]]:
    """The passes, each with its place in the run: those recorded in full, then those sampled."""
    placed = [*enumerate(tape.passes), *zip(tape.late_at, tape.late, strict=True)]
    return [(at, p) for at, p in placed if p.program == main or tape.programs[p.program].loss >= 0]


def _stretches(moments: Sequence[tuple[int, Thing]]) -> list[list[tuple[int, Thing]]]:
    """Equal parts of the run, without those in which nothing was sampled."""
    parts: dict[int, list[tuple[int, Thing]]] = {}
    whole, count = moments[-1][0] + 1, min(STRETCHES, len(moments))
    for at, thing in moments:
        parts.setdefault(at * count // whole, []).append((at, thing))
    return list(parts.values())


def _asked(tape: Tape, moments: list[tuple[int, Pass]], task: Task) -> list[tuple[int, Pass]]:
    """Evenly spaced passes of a long run."""
    if tape.late:  # these are sampled already
        return moments
    known = (p.outside[task.target] for _, p in moments if task.target is not None and task.target < len(p.outside))
    size = next((tape.tensors[key].numel() for key in known), 1)
    return moments[:: max(1, len(moments) // max(SCORED, ROWS // max(size, 1)))]


def _rows(tape: Tape, p: Pass, main: int, task: Task, yard: Yardstick) -> Tensor | None:
    if not p.output or p.program != main or task.target is None:
        return None
    target = task.wanted(lambda slot: tape.tensors[p.outside[slot]])
    return yard.rows(task, tape.tensors[p.output].unsqueeze(0), target)[0]


def _fallen(losses: Sequence[float]) -> list[float]:
    """Without a known task, progress is the share of the first loss that is gone."""
    first = abs(losses[0]) if losses and losses[0] else 1.0
    return [max(-1.0, min(1.0, (losses[0] - x) / first)) if math.isfinite(x) else -1.0 for x in losses]
