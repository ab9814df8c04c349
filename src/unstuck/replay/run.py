"""Train a trial in lanes: recorded passes and updates in order; each batch is scored before it is trained on."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch
from torch import Tensor

from unstuck.remedies.treatment import Trial
from unstuck.replay.stacked import Lanes, Traces
from unstuck.signals.task import Task
from unstuck.signals.yardstick import Yardstick, retask
from unstuck.tape.model import Pass, Tape, Update

STRETCHES = 24
"""Points of a curve."""


@dataclass(frozen=True)
class Course:
    """What is replayed: passes of the tape in order, the updates between them, and how the outputs are scored."""

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
        return replace(self, passes=self.passes[:passes])


@dataclass
class LaneResult:
    """What lanes did: losses and scores per pass and lane."""

    course: Course
    losses: list[Tensor] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    stopped: bool = False

    @property
    def passes(self) -> int:
        """Scored passes."""
        return len(self.losses)

    def first(self, passes: int) -> LaneResult:
        """As it was after this number of scored passes."""
        return replace(self, losses=self.losses[:passes], rows=self.rows[:passes])

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
    """Skill if no task is known: the share of the first loss that is gone, 0 if it did not fall."""
    start = losses[: max(1, len(losses) // 20)].mean(0)
    gone = (start - losses[a:b].mean(0)) / start.abs().clamp(min=1e-12)
    return torch.nan_to_num(gone, nan=-1.0).clamp(-1, 1)


class LaneRun:
    """Lanes training on a course: they stop after any pass, and continue from there."""

    def __init__(
        self, trial: Trial, course: Course, start: dict[str, Tensor], factors: Tensor, traces: Traces | None = None
    ) -> None:
        self.trial, self.course = trial, course
        self.lanes, self.result, self.at = Lanes(trial, start, factors, traces), LaneResult(course), 0
        self._tasks: dict[int, Task] = {}

    def to(self, passes: int, seconds: float = 60.0) -> LaneResult:
        """Train up to this pass; stops early when the seconds are used up.

        The passes are the trial's own: a remedy may have replaced the recorded ones.
        """
        warnings.filterwarnings("ignore", message=".*batching rule.*")  # vmap falls back to a loop: slow, but right
        began = time.thread_time()  # CPU time, not wall time: a busy machine must not change the verdict
        while self.at < min(passes, len(self.course.passes)) and not self.result.stopped:
            self._pass(self.trial.tape.passes[self.at])
            self.result.stopped = time.thread_time() - began > seconds
        return self.result.first(self.result.passes)

    def _pass(self, p: Pass) -> None:
        trial, outside = self.trial, _entering(self.trial, p)
        if p.program == self.course.main and p.program not in self._tasks:
            self._tasks[p.program] = retask(self.course.task, trial.programs[p.program], outside)
        task = self._tasks.get(p.program)
        loss, value, gradients = self.lanes.step(p.program, outside, task.output if task else None)
        if task:
            _note(self.result, task, loss, value, outside)
        _give(self.lanes, gradients, frozenset() if trial.clear else frozenset(p.stale))
        self.at += 1
        for update in self.course.updates.get(self.at, ()):
            self.lanes.update(update, emptied=update.empty and not trial.clear)


def run_lanes(
    trial: Trial, course: Course, start: dict[str, Tensor], factors: Tensor, seconds: float = 60.0
) -> LaneResult:
    """Train all lanes on the whole course; stops early when the seconds are used up."""
    return LaneRun(trial, course, start, factors).to(len(course.passes), seconds)


def _entering(trial: Trial, p: Pass) -> tuple[Tensor, ...]:
    tensors = [trial.tape.tensors[key] for key in p.outside]
    for slot, change in trial.outside.items():
        if slot < len(tensors):
            tensors[slot] = change(tensors[slot])
    return tuple(tensors)


def _note(result: LaneResult, task: Task, loss: Tensor, value: Tensor | None, outside: tuple[Tensor, ...]) -> None:
    result.losses.append(loss.detach().double())
    if task.output is not None and task.target is not None and value is not None:
        result.rows.append(result.course.yardstick.rows(task, value.detach(), task.wanted(outside.__getitem__)))


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
