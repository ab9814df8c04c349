"""The recorded rows in other batches than they came in."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import torch
from torch import Tensor

from unstuck.signals.samples import Samples
from unstuck.tape.model import Pass, Tape

ASKED = 8
"""Batches of each kind that are only scored, at the end of a course."""


@dataclass
class Redrawn:
    """Rows with their targets, and batches of them in the place of recorded ones."""

    tape: Tape
    main: int
    """The program whose batches are redrawn."""
    course: tuple[Pass, ...]
    """The passes that are replayed."""
    rows: Samples
    slots: tuple[int, ...]
    columns: list[Tensor]
    """What enters by each of the slots, all rows stacked; a batch that came again counts once."""
    group: Tensor
    """(rows,): the number of each row's content."""
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    tensors: dict[str, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, tape: Tape, main: int, course: tuple[Pass, ...]) -> Redrawn:
        """Raises NotApplicable if its rows cannot be told apart."""
        rows = Samples.read(tape)
        slots = (rows.slot, *rows.beside, *([] if rows.task.target is None else [rows.task.target]))
        keys = dict.fromkeys(tuple(p.outside[s] for s in slots) for p in tape.passes if p.program == main)
        shape = [tape.tensors[key].shape[1:] for key in next(iter(keys))]
        alike = [k for k in keys if [tape.tensors[key].shape[1:] for key in k] == shape]
        columns = [torch.cat([tape.tensors[key] for key in column]) for column in zip(*alike, strict=True)]
        entered = torch.cat([c.reshape(len(c), -1).double() for c in columns[: 1 + len(rows.beside)]], 1)
        _, group = torch.unique(entered, dim=0, return_inverse=True)
        return cls(tape, main, course, rows, slots, columns, group)

    @property
    def everything(self) -> Tensor:
        """(rows,) the number of every row."""
        return torch.arange(len(self.group))

    def mixed(self) -> Tape:
        """The tape with rows drawn from everywhere in each of the batches that are replayed."""
        drawn = [self.batch(p, self.drawn(self.size(p), self.everything)) for p in self.course]
        return self.with_passes((*drawn, *self.tape.passes[len(self.course) :]))

    def with_passes(self, passes: tuple[Pass, ...]) -> Tape:
        """The tape with other passes, and the tensors that they need."""
        return msgspec.structs.replace(self.tape, passes=passes, tensors={**self.tape.tensors, **self.tensors})

    def size(self, p: Pass) -> int:
        """Rows of a pass."""
        return len(self.tape.tensors[p.outside[self.rows.slot]])

    def drawn(self, size: int, pool: Tensor) -> Tensor:
        """(size,) rows of a pool, each drawn from all of it."""
        return pool[torch.randint(len(pool), (size,), generator=self.generator)]

    def batch(self, p: Pass, chosen: Tensor) -> Pass:
        """The pass with these rows; one of another program stays what it is."""
        if p.program != self.main:
            return p
        name = f"redrawn:{len(self.tensors)}"
        outside = list(p.outside)
        for place, (slot, column) in enumerate(zip(self.slots, self.columns, strict=True)):
            self.tensors[f"{name}:{place}"] = column[chosen]
            outside[slot] = f"{name}:{place}"
        return msgspec.structs.replace(p, outside=tuple(outside), loss=0.0)

    def asked(self, pool: Tensor) -> tuple[Pass, ...]:
        """Passes behind the last update, of rows drawn from a pool."""
        example = next(p for p in self.tape.passes if p.program == self.main)
        return tuple(self.batch(example, self.drawn(self.size(example), pool)) for _ in range(ASKED))
