"""The rows that simple learners get: those that the run trained on, and those that its last evaluation asks about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import answers
from unstuck.signals.samples import Samples
from unstuck.signals.task import Task, main_program
from unstuck.signals.training_path import same_slot
from unstuck.signals.yardstick import Yardstick, decisions, fitted, yardstick
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

MOST = 4_000
"""Rows that the learners train on, at most: with more they cost more than they say."""
HELD = 40
"""Rows not trained on from which on an evaluation is a yardstick: the standard error of a share is below 0.08."""
FEWEST = 100
"""Rows below which nothing is said: chance hides what simple learners reach."""
SINGLE = 4
"""Indices per row up to which each is a column of its own (who, what); more are a sequence."""


@dataclass(frozen=True)
class Part:
    """One input of the network: (rows, ...) in the shape of one row, and whether it holds indices of an embedding."""

    values: Tensor
    looked_up: bool

    def of(self, rows: Tensor) -> Part:
        """Some of its rows."""
        return replace(self, values=self.values[rows])


@dataclass(frozen=True)
class Rows:
    """Inputs with their targets: class numbers, or values."""

    parts: tuple[Part, ...]
    targets: Tensor
    group: Tensor
    """(rows,) a number for each content: equal rows fall into the same fold."""
    answers: Tensor | None = None
    """(rows,) What the trained network answers, in the form of the targets."""

    def __len__(self) -> int:
        return len(self.targets)

    def of(self, rows: Tensor) -> Rows:
        """Some of the rows."""
        kept = tuple(part.of(rows) for part in self.parts)
        return Rows(kept, self.targets[rows], self.group[rows], None if self.answers is None else self.answers[rows])


@dataclass(frozen=True)
class Recorded:
    """The rows of a tape, the task, and how answers are scored."""

    task: Task
    yard: Yardstick
    trained: Rows
    held: Rows | None
    """Rows of the script's own last evaluation that it had not trained on; None where there are too few."""

    @property
    def classified(self) -> bool:
        """Whether the targets are classes."""
        return self.task.kind in ("classes", "binary")

    @classmethod
    def read(cls, tape: Tape) -> Recorded:
        """Raises NotApplicable where the rows or their targets are not known."""
        samples, number = Samples.read(tape), main_program(tape)
        yard = yardstick(tape, number, samples.task)
        passes = next(p for p in tape.passes if p.program == number)
        if samples.task.kind == "regression" and tape.tensors[passes.outside[samples.task.target or 0]][0].numel() > 1:
            raise NotApplicable("each row has several targets")
        slots = (samples.slot, *samples.beside)
        shapes = [tuple(tape.tensors[passes.outside[s]].shape[1:]) for s in slots]
        parts = [x.reshape(len(x), *shape) for x, shape in zip(samples.parts, shapes, strict=True)]
        known = tuple(Part(x, looked) for x, looked in zip(parts, samples.looked_up, strict=True))
        trained = Rows(known, _whole(samples.targets, samples.classified), samples.group)
        trained = trained.of(_distinct(samples.group))
        if len(trained) < FEWEST:
            raise NotApplicable(f"fewer than {FEWEST} distinct rows were recorded")
        held = _held(tape, samples, yard, trained)
        return cls(samples.task, yard, trained, held)


def _whole(targets: Tensor, classified: bool) -> Tensor:
    return targets.round().long() if classified else targets.double()


def _distinct(group: Tensor) -> Tensor:
    """The first of each set of equal rows, evenly spaced if there are too many."""
    order = torch.arange(len(group)).flip(0)
    first = torch.empty(int(group.max()) + 1, dtype=torch.long).scatter_(0, group.flip(0), order).sort().values
    return first[torch.linspace(0, len(first) - 1, min(MOST, len(first))).long()]


def _held(tape: Tape, samples: Samples, yard: Yardstick, trained: Rows) -> Rows | None:
    """The rows of the last evaluation, without those that were trained on."""
    parts = [rows for one in answers(tape) if (rows := _evaluated(tape, samples, yard, *one)) is not None]
    shapes = [part.values.shape[1:] for part in trained.parts]
    parts = [p for p in parts if [part.values.shape[1:] for part in p.parts] == shapes]
    if not parts:
        return None
    columns = zip(*(p.parts for p in parts), strict=True)
    inputs = tuple(Part(torch.cat([p.values for p in column]), column[0].looked_up) for column in columns)
    known = set(_keys(samples.parts))
    new = [key not in known for key in _keys(tuple(p.values.reshape(len(p.values), -1) for p in inputs))]
    targets = torch.cat([p.targets for p in parts])
    given = torch.cat([p.answers for p in parts if p.answers is not None])
    whole = Rows(inputs, targets, torch.arange(len(targets)), given).of(torch.tensor(new).nonzero().flatten())
    return whole if len(whole) >= HELD else None


def _keys(parts: tuple[Tensor, ...]) -> Iterator[bytes]:
    table = torch.cat([p.float() for p in parts], 1).contiguous()
    return (row.tobytes() for row in table.view(torch.uint8).numpy())


def _evaluated(
    tape: Tape, samples: Samples, yard: Yardstick, program: Program, outside: tuple[Tensor, ...], output: Tensor,
    wanted: Tensor,
) -> Rows | None:  # fmt: skip
    """One evaluated batch; None where its inputs are not those of the training."""
    del tape
    slots = [same_slot(samples.program, slot, program) for slot in (samples.slot, *samples.beside)]
    if any(slot is None for slot in slots):
        return None
    inputs = [outside[slot] for slot in slots if slot is not None]
    if samples.classified:
        try:
            output = fitted(samples.task, output, wanted)
        except ValueError:
            return None
        guess, truth = decisions(samples.task, output.unsqueeze(0), wanted)
        given = guess[0]
    else:
        given, truth = samples.task.numbers(output).reshape(-1).double(), wanted.reshape(-1).double()
    if not all(len(x) == len(truth) for x in inputs) or len(given) != len(truth):
        return None
    known = torch.isfinite(truth.double()) & (truth >= 0 if samples.classified else True)
    parts = zip(inputs, samples.looked_up, strict=True)
    kept = tuple(Part(torch.nan_to_num(x[known].float()), looked) for x, looked in parts)
    return Rows(kept, truth[known], torch.zeros(int(known.sum())), given[known])
