"""Train a trial in lanes: recorded passes and updates in order; each batch is scored before it is trained on."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field, replace
from itertools import pairwise

import msgspec
import torch
from torch import Tensor

from unstuck.remedies.treatment import Trial
from unstuck.replay.cost import Manner
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

    def evaluations(self, at: int) -> int:
        """How many passes belong to a step that evaluates its loss several times and begins at this one."""
        later = [after for after in self.updates if after > at]
        return min(later, default=len(self.tape.passes)) - at

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
        self,
        trial: Trial,
        course: Course,
        start: dict[str, Tensor],
        factors: Tensor,
        traces: Traces | None = None,
        manner: Manner = "at once",
    ) -> None:
        self.trial, self.course, self.manner = trial, course, manner
        self.result, self.at = LaneResult(course), 0
        self._lanes: Lanes | None = Lanes(trial, start, factors, traces, manner)
        self._tasks: dict[int, Task] = {}

    @property
    def lanes(self) -> Lanes:
        """The lanes; at the end of the course they are let go."""
        assert self._lanes is not None
        return self._lanes

    @property
    def bytes(self) -> int:
        """Bytes of the lanes that are still held."""
        return self._lanes.bytes if self._lanes is not None else 0

    def to(self, passes: int, seconds: float = 60.0) -> LaneResult:
        """Train up to this pass; stops early when the seconds are used up.

        The passes are the trial's own: a remedy may have replaced the recorded ones.
        """
        warnings.filterwarnings("ignore", message=".*batching rule.*")  # vmap falls back to a loop: slow, but right
        began = time.thread_time()  # CPU time, not wall time: a busy machine must not change the verdict
        while self.at < min(passes, len(self.course.passes)) and not self.result.stopped:
            several = next((u for u in self.course.updates.get(self.at, ()) if u.closure), None)
            if several is not None and several.optimizer in self.lanes.optimizers:
                self._evaluations(several)
            else:
                self._pass(self.trial.tape.passes[self.at])
            self.result.stopped = time.thread_time() - began > seconds
        if self.at >= len(self.course.passes) or self.result.stopped:
            self._lanes = None
        return self.result.first(self.result.passes)

    def _task(self, p: Pass, outside: tuple[Tensor, ...]) -> Task | None:
        if p.program == self.course.main and p.program not in self._tasks:
            self._tasks[p.program] = retask(self.course.task, self.trial.programs[p.program], outside)
        return self._tasks.get(p.program)

    def _pass(self, p: Pass) -> None:
        trial, outside = self.trial, self._entering(p)
        task = self._task(p, outside)
        stale = frozenset() if trial.clear else frozenset(p.stale)
        self.lanes.forget(p.program, stale)
        loss, value, gradients = self.lanes.step(p.program, outside, task.output if task else None)
        if task:
            _note(self.result, task, loss, value, outside)
        self.lanes.give(gradients, stale)
        self._after(1)

    def _evaluations(self, update: Update) -> None:
        """One step of an optimizer that evaluates its loss several times: on the batch of the first evaluation."""
        p = self.trial.tape.passes[self.at]
        outside = self._entering(p)
        task = self._task(p, outside)
        loss, value = self.lanes.evaluated(update, p.program, outside, task.output if task else None)
        if task:
            _note(self.result, task, loss, value, outside)
        self._after(max(1, update.evaluations or self.course.evaluations(self.at)))

    def _after(self, passes: int) -> None:
        """So many passes are over: the updates that come after them."""
        self.at += passes
        for update in self.course.updates.get(self.at, ()):
            if not update.closure:
                self.lanes.update(update, emptied=update.empty and not self.trial.clear)

    def _entering(self, p: Pass) -> tuple[Tensor, ...]:
        tensors = [self.trial.tape.tensors[key] for key in p.outside]
        for slot, change in self.trial.outside.items():
            if slot < len(tensors):
                tensors[slot] = change(tensors[slot])
        return tuple(t.to(self.lanes.device) for t in tensors)


def _note(result: LaneResult, task: Task, loss: Tensor, value: Tensor | None, outside: tuple[Tensor, ...]) -> None:
    result.losses.append(loss.detach().cpu().double())
    if task.output is not None and task.target is not None and value is not None:
        rows = result.course.yardstick.rows(task, value.detach(), task.wanted(outside.__getitem__))
        result.rows.append(rows.cpu())


def course_of(tape: Tape, passes: tuple[Pass, ...], main: int, yard: Yardstick, task: Task) -> Course:
    """The course of a tape's passes."""
    updates: dict[int, list[Update]] = {}
    for update in tape.updates:
        updates.setdefault(update.after, []).append(update)
    return Course(tape, passes, {k: tuple(v) for k, v in updates.items()}, main, task, yard)


def repeated(tape: Tape, course: Course, times: int) -> tuple[Tape, Course]:
    """A course several times over: its passes and updates again, as a further epoch on the same batches."""
    length, passes = len(course.passes), course.passes * times
    updates = {
        after + turn * length: tuple(msgspec.structs.replace(u, after=after + turn * length) for u in some)
        for turn in range(times) for after, some in course.updates.items() if after <= length
    }  # fmt: skip
    return msgspec.structs.replace(tape, passes=passes), replace(course, passes=passes, updates=updates)
