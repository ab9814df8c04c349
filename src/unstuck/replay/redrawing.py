"""The recorded rows in other batches than they came in, and the network as written trained on those."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.replay.bench import PATIENCE, Bench, as_written, bench_of
from unstuck.replay.lanes import LANES, starts
from unstuck.replay.run import Played, course_of, play
from unstuck.signals.samples import Samples
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.model import Pass, Tape

ASKED = 8
"""Batches that are only scored, at the end, of each kind."""


@dataclass
class Redrawn:
    """Rows with their targets, and batches of them in the place of recorded ones."""

    tape: Tape
    rows: Samples
    bench: Bench
    slots: tuple[int, ...]
    columns: list[Tensor]
    """What enters by each of the slots, all rows on top of each other; a batch that came again counts once."""
    group: Tensor
    """(rows,): the number of each row's content."""
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def read(cls, tape: Tape) -> Redrawn:
        """Raises NotApplicable where the run cannot be replayed, or its rows cannot be told apart."""
        bench = bench_of(tape)
        if bench.why:
            raise NotApplicable(f"no replay: {bench.why}")
        tape, rows = bench.tape, Samples.read(bench.tape)  # it may hold fewer rows of each batch
        slots = (rows.slot, *rows.beside, *([] if rows.task.target is None else [rows.task.target]))
        keys = dict.fromkeys(tuple(p.outside[s] for s in slots) for p in tape.passes if p.program == bench.main)
        shape = [tape.tensors[key].shape[1:] for key in next(iter(keys))]
        alike = [k for k in keys if [tape.tensors[key].shape[1:] for key in k] == shape]
        columns = [torch.cat([tape.tensors[key] for key in column]) for column in zip(*alike, strict=True)]
        entered = torch.cat([c.reshape(len(c), -1).double() for c in columns[: 1 + len(rows.beside)]], 1)
        _, group = torch.unique(entered, dim=0, return_inverse=True)
        return cls(tape, rows, bench, slots, columns, group)

    def mixed(self) -> Tape:
        """The tape with rows drawn from everywhere in each of the batches that are replayed."""
        everything = torch.arange(len(self.group))
        course = self.bench.course.passes
        drawn = [self.batch(p, self.drawn(self.size(p), everything)) for p in course]
        tensors = {**self.tape.tensors, **self.tensors}
        return msgspec.structs.replace(self.tape, passes=(*drawn, *self.tape.passes[len(course) :]), tensors=tensors)

    def size(self, p: Pass) -> int:
        """How many rows a pass has."""
        return len(self.tape.tensors[p.outside[self.rows.slot]])

    def drawn(self, size: int, pool: Tensor) -> Tensor:
        """So many rows of a pool, each drawn from all of it."""
        return pool[torch.randint(len(pool), (size,), generator=self.generator)]

    def batch(self, p: Pass, chosen: Tensor) -> Pass:
        """The pass with these rows; one of another program stays what it is."""
        if p.program != self.bench.main:
            return p
        name = f"redrawn:{len(self.tensors)}"
        outside = list(p.outside)
        for place, (slot, column) in enumerate(zip(self.slots, self.columns, strict=True)):
            self.tensors[f"{name}:{place}"] = column[chosen]
            outside[slot] = f"{name}:{place}"
        return msgspec.structs.replace(p, outside=tuple(outside), loss=0.0)

    def asked(self, pool: Tensor) -> tuple[Pass, ...]:
        """Passes behind the last update, of rows drawn from a pool."""
        example = next(p for p in self.tape.passes if p.program == self.bench.main)
        return tuple(self.batch(example, self.drawn(self.size(example), pool)) for _ in range(ASKED))

    def learnt(self, trained: Callable[[Pass], Pass], *asked: tuple[Pass, ...]) -> list[float]:
        """Train as written on the passes so turned; the skill on each kind of questions, median over the lanes."""
        course = self.bench.course.passes
        passes = (*map(trained, course), *(p for kind in asked for p in kind))
        updates = tuple(u for u in self.tape.updates if u.after <= len(course))
        tensors = {**self.tape.tensors, **self.tensors}
        turned = msgspec.structs.replace(self.tape, passes=passes, updates=updates, tensors=tensors)
        rows = self._played(turned, passes).rows
        yard, scored = self.bench.yardstick, rows[-ASKED * len(asked) :]
        kinds = [torch.stack(scored[i * ASKED : (i + 1) * ASKED]).sum(0) for i in range(len(asked))]
        return [float(yard.skill(yard.score(kind)).median()) for kind in kinds]

    def _played(self, turned: Tape, passes: tuple[Pass, ...]) -> Played:
        bench = self.bench
        course = course_of(turned, passes, bench.main, bench.yardstick, bench.task)
        trial = as_written(turned)
        try:
            lanes = starts(trial.start, set(trial.holders), LANES)
            played = play(trial, course, lanes, torch.ones(LANES), 3 * PATIENCE * bench.seconds)
        except (CannotReplay, RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
            raise NotApplicable("other batches could not be replayed") from error
        if played.stopped or not played.rows:
            raise NotApplicable("other batches could not be replayed in time")
        return played
