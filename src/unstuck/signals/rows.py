"""The rows that enter the network, with their targets: how many differ, and what any network could tell by them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis import NotApplicable
from unstuck.program import Call, Outside, Program
from unstuck.signals.entrance import FEATURE_CALLS, NORMALISING
from unstuck.signals.task import Task, main_program
from unstuck.tape import Tape

MOST_ROWS = 6_000
MOST_NUMBERS = 12_000_000
FEWEST = 16
"""Rows below which nothing is said."""
LOOKUPS = {"embedding", "embedding_bag"}


@dataclass(frozen=True)
class Rows:
    """The rows of the main program's one input."""

    program: Program
    task: Task
    slot: int
    call: Call
    rows: Tensor
    """(rows, numbers), as recorded."""
    targets: Tensor
    """(rows,): class numbers, or values (the first of several)."""
    group: Tensor
    """(rows,): the number of each row's content, the same for equal rows."""

    @property
    def distinct(self) -> int:
        """How many different rows there are."""
        return int(self.group.max()) + 1

    @property
    def constant(self) -> float:
        """The score of the best answer that is the same for every row (0 for numbers)."""
        return _best(self.targets, torch.zeros_like(self.group), self.classified)

    @property
    def ceiling(self) -> float:
        """The best score that any function of these rows could have on them: accuracy, or R2."""
        return _best(self.targets, self.group, self.classified)

    @property
    def classified(self) -> bool:
        """Whether the targets are classes."""
        return self.task.kind in ("classes", "binary")

    @classmethod
    def read(cls, tape: Tape) -> Rows:
        number, task = main_program(tape), Task.read(tape)
        program = tape.programs[number]
        if task.target is None or task.kind in ("unknown", "multilabel"):
            raise NotApplicable("what belongs to each row is not known")
        slot, call = _input(program)
        if _moving(tape, number, {slot, task.target}):
            raise NotApplicable("more than one thing enters with every row")
        keys = dict.fromkeys((p.outside[slot], p.outside[task.target]) for p in tape.passes if p.program == number)
        rows, targets = _gathered(tape, list(keys), task)
        _, group = torch.unique(rows, dim=0, return_inverse=True)
        return cls(program, task, slot, call, rows, targets, group)


def _input(program: Program) -> tuple[int, Call]:
    """The one slot by which inputs enter, and the call that reads it."""
    found = {}
    for slot in range(program.slots):
        for call in program.users(Outside(slot)):
            first = next(iter(call.refs()), None)
            enters = call.name in FEATURE_CALLS or call.name in NORMALISING or call.name in LOOKUPS
            if enters and (first == Outside(slot) or (Outside(slot) in call.refs()[:2] and "cell" not in call.name)):
                found.setdefault(slot, call)
                break
    recurrent = {s: c for s, c in found.items() if c.refs()[0] == Outside(s) or c.name in LOOKUPS | {"matmul", "mm"}}
    found = recurrent or found
    if len(found) != 1:
        raise NotApplicable("there is not one input whose rows could be compared")
    return next(iter(found.items()))


def _moving(tape: Tape, number: int, known: set[int]) -> bool:
    """Whether other slots hold something else from pass to pass: parts of a row that its first part does not show."""
    passes = [p for p in tape.passes if p.program == number][:50]
    others = set(range(tape.programs[number].slots)) - known
    return any(len({p.outside[slot] for p in passes}) > 1 for slot in others)


def _gathered(tape: Tape, keys: list[tuple[str, str]], task: Task) -> tuple[Tensor, Tensor]:
    rows: list[Tensor] = []
    targets: list[Tensor] = []
    count = 0
    for one, other in keys:
        x, y = tape.tensors[one], _labels(tape.tensors[other], task)
        if x.dim() < 2 or len(x) != len(y) or (rows and x[0].numel() != rows[0].shape[1]):
            continue
        rows.append(x.flatten(1))
        targets.append(y)
        count += len(x)
        if count >= MOST_ROWS or count * rows[0].shape[1] >= MOST_NUMBERS:
            break
    if count < FEWEST:
        raise NotApplicable("too few rows with one target each were recorded")
    return torch.nan_to_num(torch.cat(rows).float()), torch.cat(targets)


def _labels(target: Tensor, task: Task) -> Tensor:
    """One number per row; an empty tensor where a row has a field of targets."""
    if task.kind == "classes" and target.is_floating_point() and target.dim() > 1:
        return target.argmax(1).double()
    flat = target.reshape(len(target), -1).double() if target.dim() else torch.zeros(0, 1, dtype=torch.float64)
    return flat[:, 0] if flat.shape[1] == 1 or task.kind == "regression" else flat[:0, 0]


def _best(targets: Tensor, group: Tensor, classified: bool) -> float:
    groups = int(group.max()) + 1
    if classified:
        kinds, number = torch.unique(targets, return_inverse=True)
        table = torch.zeros(groups, len(kinds)).index_put_((group, number), torch.ones(len(number)), accumulate=True)
        return float(table.amax(1).sum() / len(targets))
    size = torch.bincount(group, minlength=groups).double()
    mean = torch.zeros(groups, dtype=torch.float64).index_add_(0, group, targets) / size.clamp(min=1)
    around = (targets - targets.mean()).square().sum()
    return float(1 - (targets - mean[group]).square().sum() / around) if float(around) > 0 else 1.0
