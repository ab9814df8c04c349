"""Play a trial: passes and updates in the recorded order, in every lane; each batch is scored before it is learnt."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from unstuck.remedy import Trial
from unstuck.replay.stacked import Lanes
from unstuck.signals.task import Task
from unstuck.signals.yardstick import Yardstick, retask
from unstuck.tape import Pass, Tape, Update

STRETCHES = 24
"""A curve has so many points."""


@dataclass(frozen=True)
class Course:
    """What is played: passes of the tape in order, the updates between them, and how the outputs are scored."""

    tape: Tape
    passes: tuple[Pass, ...]
    updates: dict[int, tuple[Update, ...]]
    """Updates by the number of passes that come before them."""
    main: int
    """The program whose output is scored."""
    task: Task
    yardstick: Yardstick

    def cut(self, passes: int) -> Course:
        """The first so many passes only."""
        return Course(self.tape, self.passes[:passes], self.updates, self.main, self.task, self.yardstick)


@dataclass
class Played:
    """The outcome of one play: per scored pass and lane."""

    course: Course
    losses: list[Tensor] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0
    stopped: bool = False

    @property
    def passes(self) -> int:
        """Scored passes."""
        return len(self.losses)

    def skill(self, first: float = 0.75, last: float = 1.0) -> Tensor:
        """(lanes,) skill over a part of the tape, by default its last quarter."""
        a, b = int(first * self.passes), max(int(last * self.passes), int(first * self.passes) + 1)
        if not self.rows:
            return _relative(torch.stack(self.losses), a, b)
        return self.course.yardstick.skill(self.score(first, last))

    def score(self, first: float = 0.75, last: float = 1.0) -> Tensor:
        """(lanes,) the metric over a part of the tape."""
        a, b = int(first * self.passes), max(int(last * self.passes), int(first * self.passes) + 1)
        if not self.rows:
            return torch.stack(self.losses)[a:b].mean(0)
        return self.course.yardstick.score(torch.stack(self.rows[a:b]).sum(0))

    def curve(self) -> tuple[Tensor, Tensor]:
        """(stretches, lanes) of skill, and of loss."""
        edges = torch.linspace(0, 1, min(STRETCHES, max(self.passes, 1)) + 1).tolist()
        pairs = list(pairwise(edges))
        losses = torch.stack(self.losses)
        cut = lambda a, b: losses[int(a * self.passes) : max(int(b * self.passes), int(a * self.passes) + 1)].mean(0)
        return torch.stack([self.skill(a, b) for a, b in pairs]), torch.stack([cut(a, b) for a, b in pairs])


def _relative(losses: Tensor, a: int, b: int) -> Tensor:
    """Skill where no task is known: the share of the first loss that is gone (0 where it did not fall)."""
    start = losses[: max(1, len(losses) // 20)].mean(0)
    gone = (start - losses[a:b].mean(0)) / start.abs().clamp(min=1e-12)
    return torch.nan_to_num(gone, nan=-1.0).clamp(-1, 1)


def play(trial: Trial, course: Course, start: dict[str, Tensor], factors: Tensor, seconds: float = 60.0) -> Played:
    """Train all lanes on the course; stops early when the seconds are used up."""
    warnings.filterwarnings("ignore", message=".*batching rule.*")  # slow calls are our business, not the person's
    lanes, played, began = Lanes(trial, start, factors), Played(course), time.monotonic()
    tasks: dict[int, Task] = {}
    for number, p in enumerate(course.passes):
        outside = _entering(trial, p)
        if p.program == course.main and p.program not in tasks:
            tasks[p.program] = retask(course.task, trial.programs[p.program], outside)
        task = tasks.get(p.program)
        loss, value, gradients = lanes.step(p.program, outside, task.output if task else None)
        if task:
            _note(played, task, loss, value, outside)
        _give(lanes, gradients, frozenset() if trial.clear else frozenset(p.stale))
        for update in course.updates.get(number + 1, ()):
            lanes.update(update, emptied=update.empty and not trial.clear)
        if time.monotonic() - began > seconds:
            played.stopped = True
            break
    played.seconds = time.monotonic() - began
    return played


def _entering(trial: Trial, p: Pass) -> tuple[Tensor, ...]:
    tensors = [trial.tape.tensors[key] for key in p.outside]
    for slot, change in trial.outside.items():
        if slot < len(tensors):
            tensors[slot] = change(tensors[slot])
    return tuple(tensors)


def _note(played: Played, task: Task, loss: Tensor, value: Tensor | None, outside: tuple[Tensor, ...]) -> None:
    played.losses.append(loss.detach().double())
    if task.output is not None and task.target is not None and value is not None:
        played.rows.append(played.course.yardstick.rows(task, value.detach(), outside[task.target]))


def _give(lanes: Lanes, gradients: dict[str, Tensor], stale: frozenset[str]) -> None:
    for name, gradient in gradients.items():
        weight = lanes.trained[name]
        weight.grad = weight.grad + gradient if name in stale and weight.grad is not None else gradient


def course_of(tape: Tape, passes: tuple[Pass, ...], main: int, yard: Yardstick, task: Task) -> Course:
    """The course of a tape's passes."""
    updates: dict[int, list[Update]] = {}
    for update in tape.updates:
        updates.setdefault(update.after, []).append(update)
    return Course(tape, passes, {k: tuple(v) for k, v in updates.items()}, main, task, yard)
