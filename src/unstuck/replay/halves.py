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
        self.slots = (rows.slot, *rows.beside, *([] if rows.task.target is None else [rows.task.target]))
        keys = dict.fromkeys(tuple(p.outside[s] for s in self.slots) for p in pairs)
        shape = [tape.tensors[key].shape[1:] for key in next(iter(keys))]
        alike = [k for k in keys if [tape.tensors[key].shape[1:] for key in k] == shape]
        self.columns = [torch.cat([tape.tensors[key] for key in column]) for column in zip(*alike, strict=True)]
        entered = torch.cat([c.flatten(1).double() for c in self.columns[: 1 + len(rows.beside)]], 1)
        _, group = torch.unique(entered, dim=0, return_inverse=True)
        self.group = group
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
        outside = list(p.outside)
        for place, (slot, column) in enumerate(zip(self.slots, self.columns, strict=True)):
            self.tensors[f"{name}:{place}"] = column[chosen]
            outside[slot] = f"{name}:{place}"
        return msgspec.structs.replace(p, outside=tuple(outside), loss=0.0)
