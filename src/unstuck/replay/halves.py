"""An experiment: the network as written, trained on one half of the recorded rows and asked about the other."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis import NotApplicable
from unstuck.lower import CannotReplay
from unstuck.replay.bench import PATIENCE, Bench, as_written
from unstuck.replay.lanes import LANES, starts
from unstuck.replay.play import course_of, play
from unstuck.signals.rows import Rows
from unstuck.tape import Pass, Tape

ASKED = 8
"""Batches of the other half (and of the first) at the end."""


@dataclass(frozen=True)
class Halves:
    """Skill on the rows it was trained on and on the others, median over lanes; 0 is the best constant answer."""

    seen: float
    unseen: float

    @classmethod
    def read(cls, tape: Tape) -> Halves:
        bench, rows = Bench(tape), Rows.read(tape)
        if bench.why:
            raise NotApplicable(f"no replay: {bench.why}")
        split = _Split(tape, rows, bench.main)
        passes = split.training(bench.course.passes)
        passes = (*passes, *split.asked(True), *split.asked(False))
        updates = tuple(u for u in tape.updates if u.after <= len(bench.course.passes))
        tensors = {**tape.tensors, **split.tensors}
        turned = msgspec.structs.replace(tape, passes=passes, updates=updates, tensors=tensors)
        course = course_of(turned, passes, bench.main, bench.yardstick, bench.task)
        trial = as_written(turned)
        try:
            lanes = starts(trial.start, set(trial.holders), LANES)
            played = play(trial, course, lanes, torch.ones(LANES), 3 * PATIENCE * bench.seconds)
        except (CannotReplay, RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            raise NotApplicable("the halves could not be replayed") from error
        if played.stopped or not played.rows:
            raise NotApplicable("the halves could not be replayed in time")
        yard = bench.yardstick
        asked = [torch.stack(part).sum(0) for part in (played.rows[-2 * ASKED : -ASKED], played.rows[-ASKED:])]
        seen, unseen = (float(yard.skill(yard.score(part)).median()) for part in asked)
        return cls(seen, unseen)


class _Split:
    """Every row of the second half gives way to one of the first, with its target."""

    def __init__(self, tape: Tape, rows: Rows, main: int) -> None:
        self.tape, self.rows, self.main = tape, rows, main
        self.tensors: dict[str, Tensor] = {}
        pairs = [p for p in tape.passes if p.program == main]
        self.example = pairs[0]
        self.size = len(tape.tensors[pairs[0].outside[rows.slot]])
        keys = dict.fromkeys((p.outside[rows.slot], p.outside[rows.task.target or 0]) for p in pairs)
        x = torch.cat([tape.tensors[a] for a, _ in keys if len(tape.tensors[a])])
        y = torch.cat([tape.tensors[b] for _, b in keys])
        _, group = torch.unique(x.flatten(1), dim=0, return_inverse=True)
        self.x, self.y, self.group = x, y, group
        generator = torch.Generator().manual_seed(0)
        order = torch.randperm(int(group.max()) + 1, generator=generator)
        self.first = torch.zeros(len(order), dtype=torch.bool)
        self.first[order[: len(order) // 2]] = True
        self.pool = self.first[group].nonzero().flatten()
        self.others = (~self.first[group]).nonzero().flatten()
        self.generator = generator

    def training(self, passes: tuple[Pass, ...]) -> tuple[Pass, ...]:
        """The passes with rows of the first half only."""
        return tuple(self._batch(p, len(self.tape.tensors[p.outside[self.rows.slot]]), self.pool) for p in passes)

    def asked(self, seen: bool) -> tuple[Pass, ...]:
        """Passes that are only scored."""
        rows = self.pool if seen else self.others
        return tuple(self._batch(self.example, self.size, rows) for _ in range(ASKED))

    def _batch(self, p: Pass, size: int, pool: Tensor) -> Pass:
        if p.program != self.main:
            return p
        chosen = pool[torch.randint(len(pool), (size,), generator=self.generator)]
        name = f"half:{len(self.tensors)}"
        self.tensors |= {f"{name}x": self.x[chosen], f"{name}y": self.y[chosen]}
        target = self.rows.task.target
        outside = list(p.outside)
        outside[self.rows.slot] = f"{name}x"
        if target is not None:
            outside[target] = f"{name}y"
        return msgspec.structs.replace(p, outside=tuple(outside), loss=0.0)
