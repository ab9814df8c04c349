"""The rows that enter the network, with their targets: how many are distinct, and the best score possible on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import counted
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program

MOST_ROWS = 6_000
MOST_NUMBERS = 12_000_000
"""Of all rows together (48 MB)."""
COMPARED = 500
"""Rows whose targets are compared: a standard deviation over so many is known to a few per cent."""
FEWEST = 16
"""Rows below which nothing is said: with two classes, 16 rows agree by chance once in 32,768 times."""

TELLING = 20.0
"""Pairs of equal rows that chance would put into the batches, below which their absence tells nothing: half as many
come by chance once in 90 times."""

HARDLY = 0.1
"""Of the way from the best constant prediction to perfection. The bound is optimistic (it is fitted to these very
rows), so what lies below it is not worth training for."""
MANY, ROOM, SHUFFLES = 200, 0.3, 8
"""Rows, and score left above that of shuffled targets, from which on a comparison with these is sure; and how many."""
SEVERAL = 0.5
"""Times chance from which on equal rows in one batch are several rows; a row that comes back is in no batch twice."""


@dataclass(frozen=True)
class Samples:
    """The rows of the main program's inputs."""

    program: Program
    task: Task
    slot: int
    call: Call
    """The first that reads the slot."""
    beside: tuple[int, ...]
    """Slots with a further part of each row: a mask, a second input."""
    parts: tuple[Tensor, ...]
    """(rows, features) of the slot, and of those beside it, as recorded."""
    targets: Tensor
    """(rows,) class ids, or values (of several, the most varied one); without rows whose target the loss
    ignores."""
    group: Tensor
    """(rows,) a number for each distinct row, the same for identical rows."""
    places: Tensor
    """Where the rows of each pass stand among the rows, pass after pass: a batch that came twice is kept once."""
    sizes: Tensor
    """(passes,) how many rows each of those passes has."""

    @property
    def rows(self) -> Tensor:
        """(rows, features) of the first slot."""
        return self.parts[0]

    @property
    def looked_up(self) -> tuple[bool, ...]:
        """Whether each part holds indices into an embedding."""
        users = (self.program.users(Outside(s)) for s in (self.slot, *self.beside))
        return tuple(any(c.op.kind == "lookup" for c in calls) for calls in users)

    @property
    def distinct(self) -> int:
        """How many distinct rows there are."""
        return int(self.group.max()) + 1

    @property
    def together(self) -> float:
        """Pairs of equal rows in one batch, relative to what chance would put there; NaN where that is next to none.

        About 1 where several rows are equal, 0 where equal rows are one that comes back: it is in no batch twice. Of
        batches of one row, as many as there are distinct rows are taken for one.
        """
        group = self.group[self.places]
        sizes = self.sizes if int(self.sizes.max()) > 1 else torch.full((len(group) // self.distinct,), self.distinct)
        batch = torch.arange(len(sizes)).repeat_interleave(sizes)
        shares = torch.bincount(group).double() / len(group)
        expected = float(_pairs(sizes).sum() * shares.square().sum())
        same = torch.unique(batch * self.distinct + group[: len(batch)], return_counts=True)[1]
        return float(_pairs(same).sum()) / expected if expected >= TELLING else float("nan")

    @property
    def constant(self) -> float:
        """The score of the best constant prediction (0 for R2)."""
        return _best(self.targets, torch.zeros_like(self.group), self.classified)

    @property
    def ceiling(self) -> float:
        """The best score that any function of these rows could have on them: accuracy, or R2."""
        return _best(self.targets, self.group, self.classified)

    @property
    def reachable(self) -> float:
        """How much of the way from the best constant prediction to perfection any function of these rows could go."""
        return (self.ceiling - self.constant) / max(1 - self.constant, 1e-9) if self.constant < 1 else 1.0

    @property
    def empty(self) -> bool:
        """Whether the rows say next to nothing about their targets: a function of them does hardly better than a
        constant prediction, or than the same function of shuffled targets."""
        if self.reachable <= HARDLY:
            return True
        if len(self.group) < MANY or self.distinct > len(self.group) / 2:
            return False
        chance = self.chance
        return 1 - chance >= ROOM and self.ceiling - chance <= HARDLY * (1 - chance)

    @property
    def chance(self) -> float:
        """The mean ceiling of shuffled targets: what so many distinct rows reach by their number alone."""
        generator = torch.Generator().manual_seed(0)
        mixed = (self.targets[torch.randperm(len(self.targets), generator=generator)] for _ in range(SHUFFLES))
        return sum(_best(targets, self.group, self.classified) for targets in mixed) / SHUFFLES

    @property
    def classified(self) -> bool:
        """Whether the targets are classes."""
        return self.task.kind in ("classes", "binary")

    @classmethod
    def read(cls, tape: Tape) -> Samples:
        number, task = main_program(tape), Task.read(tape)
        program = tape.programs[number]
        if task.target is None or task.kind in ("unknown", "multilabel"):
            raise NotApplicable("the target of each row is not known")
        inputs = _inputs(program)
        slot, call = next(iter(inputs.items()))
        beside = tuple(sorted({*inputs, *_moving(tape, number, task.target)} - {slot, task.target}))
        _belonging(tape, number, (slot, *beside, task.target))
        slots = (slot, *beside, *task.slots)
        order = [tuple(p.outside[s] for s in slots) for p in tape.passes if p.program == number]
        batches = [dict(zip(slots, k, strict=True)) for k in dict.fromkeys(order)]
        parts, targets, rows = _gathered(tape, batches, 1 + len(beside), task)
        _, group = torch.unique(torch.cat(parts, 1), dim=0, return_inverse=True)
        places, sizes = _in_turn(rows, order)
        return cls(program, task, slot, call, beside, parts, targets, group, places, sizes)


def _inputs(program: Program) -> dict[int, Call]:
    """The slots of inputs, each with the call that reads it."""
    found = {}
    for slot in range(program.slots):
        for call in program.users(Outside(slot)):
            first = next(iter(call.refs()), None)
            enters = call.op.features or call.op.kind in ("norm", "lookup")
            if enters and (first == Outside(slot) or (Outside(slot) in call.refs()[:2] and "cell" not in call.name)):
                found.setdefault(slot, call)
                break
    recurrent = {s: c for s, c in found.items() if c.refs()[0] == Outside(s) or c.op.kind in ("lookup", "product")}
    found = recurrent or found
    if not found:
        raise NotApplicable("no input with rows to compare was found")
    return found


def _moving(tape: Tape, number: int, target: int) -> Iterator[int]:
    """Slots whose content changes from pass to pass: further parts of a row.

    What losses alone read, or what holds the target's own numbers, is a target and no part of the row. A slot of zeros
    only is the initial state of a recurrent layer, as large as the batch; the running statistics of a batch norm are
    the layer's own.
    """
    passes = [p for p in tape.passes if p.program == number][:50]
    for slot in range(tape.programs[number].slots):
        keys = {p.outside[slot] for p in passes}
        other = slot in tape.programs[number].states or _is_target(tape, number, slot, target)
        if not other and len(keys) > 1 and any(bool(tape.tensors[k].any()) for k in keys):
            yield slot


def _is_target(tape: Tape, number: int, slot: int, target: int) -> bool:
    """Whether a slot is the target, holds the same numbers in every pass, or is read by losses only."""
    readers = tape.programs[number].users(Outside(slot))
    same = all(p.outside[slot] == p.outside[target] for p in tape.passes if p.program == number)
    return same or (bool(readers) and all(call.op.scale is not None for call in readers))


def _belonging(tape: Tape, number: int, slots: tuple[int, ...]) -> None:
    """Raises NotApplicable if an input does not have one part for each row of the batch."""
    first = next(p for p in tape.passes if p.program == number)
    if len({tape.tensors[first.outside[s]].shape[:1] for s in slots}) > 1:
        raise NotApplicable("an extra input is not aligned with the batch dimension")


def _pairs(counts: Tensor) -> Tensor:
    return counts * (counts - 1) / 2


def _in_turn(rows: dict[tuple[str, ...], range], order: list[tuple[str, ...]]) -> tuple[Tensor, Tensor]:
    """Where the rows of each pass stand, and how many it has; of the first passes, and of those that were gathered."""
    turns, count = [], 0
    for found in (rows[keys] for keys in order if keys in rows):
        turns.append(found)
        count += len(found)
        if count >= MOST_ROWS:
            break
    return torch.tensor([place for turn in turns for place in turn]), torch.tensor([len(turn) for turn in turns])


def _gathered(
    tape: Tape, keys: list[dict[int, str]], inputs: int, task: Task
) -> tuple[tuple[Tensor, ...], Tensor, dict[tuple[str, ...], range]]:
    """Rows and targets of batches, each the keys of its slots, those of the inputs first; and where each one stands."""
    column = _most_varied(tape, keys, task) if task.kind == "regression" else 0
    kept: list[list[Tensor]] = []
    targets: list[Tensor] = []
    places: dict[tuple[str, ...], range] = {}
    count = 0
    for names in keys:
        parts = [tape.tensors[key] for key in list(names.values())[:inputs]]
        target = _wanted(tape, names, task)
        y = _labels(target, task, column)
        if not all(x.dim() and len(x) == len(y) for x in parts):
            continue
        known = counted(task, target)[: len(y)] if task.kind in ("classes", "binary") else y == y
        parts, y = [x.reshape(len(x), -1)[known] for x in parts], y[known]
        if kept and any(x.shape[1] != first.shape[1] for x, first in zip(parts, kept[0], strict=True)):
            continue
        kept.append(parts)
        targets.append(y)
        places[tuple(names.values())] = range(count, count + len(y))
        count += len(y)
        if count >= MOST_ROWS or count * sum(x.shape[1] for x in parts) >= MOST_NUMBERS:
            break
    if count < FEWEST:
        raise NotApplicable(f"fewer than {FEWEST} rows with one target each were recorded")
    whole, values = (torch.nan_to_num(torch.cat(part).float()) for part in zip(*kept, strict=True)), torch.cat(targets)
    if task.kind == "regression" and bool((values == values[0]).all()):
        raise NotApplicable("all rows have one target")
    return tuple(whole), values, places


def _wanted(tape: Tape, names: dict[int, str], task: Task) -> Tensor:
    return task.wanted(lambda slot: tape.tensors[names[slot]])


def _most_varied(tape: Tape, keys: list[dict[int, str]], task: Task) -> int:
    """Which of the numbers to predict for a row differs most between rows; the first where there is one only."""
    parts: list[Tensor] = []
    for flat in (_flat(_wanted(tape, names, task)) for names in keys):
        parts += [flat.float()] if not parts or flat.shape[1] == parts[0].shape[1] else []
        if sum(map(len, parts)) >= COMPARED:
            break
    values = torch.cat(parts)
    around = (values - values.nanmean(0)).square().nanmean(0)
    return int(torch.nan_to_num(around).argmax())


def _flat(target: Tensor) -> Tensor:
    """(rows, numbers); none of a target that is one number for the whole batch."""
    return target.reshape(len(target), -1) if target.dim() else torch.zeros(0, 1)


def _labels(target: Tensor, task: Task, column: int) -> Tensor:
    """One number per row; empty if a row has a field of targets."""
    if task.kind == "classes" and target.is_floating_point() and target.dim() > 1:
        return target.argmax(1).double()
    flat = _flat(target).double()
    several = flat.shape[1] > 1 and task.kind != "regression"
    return flat[:0, 0] if several or column >= flat.shape[1] else flat[:, column]


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
