"""What the network is asked to do, over all the rows of the tape."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from math import prod

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.counted import IGNORED, Counting, counting
from unstuck.signals.remembered import remembered
from unstuck.signals.rewards import rewards
from unstuck.tape import task
from unstuck.tape.model import Pass, Tape
from unstuck.tape.ops import SUBTRACTIONS
from unstuck.tape.program import Value

NAN = float("nan")
PASSES = 8
"""Batches with one and the same target: of two even classes in one size of batch, chance stays far below."""


@dataclass(frozen=True)
class Task(task.Task):
    """The task of one program of a tape."""

    counting: Counting | None = None
    """Which elements of the target the loss counts."""
    flat: bool = False
    """Whether every recorded target is one and the same number, which says nothing of any row."""

    @property
    def slots(self) -> tuple[int, ...]:
        """The slots that `wanted` reads: of the target, and of what says which of its elements count."""
        assert self.target is not None
        return (self.target, *(self.counting.slots if self.counting is not None else ()))

    @property
    def ignored(self) -> int:
        """The class number that stands for a target which does not count."""
        given = self.loss.argument(4, "ignore_index", IGNORED) if self.loss is not None else IGNORED
        return given if isinstance(given, int) and not isinstance(given, bool) else IGNORED

    def wanted(self, read: Callable[[int], Tensor]) -> Tensor:
        """The targets, by a function that reads slots; those that the loss does not count become `ignored`, or NaN."""
        assert self.target is not None
        target = read(self.target)
        counts = self.counting.of(read) if self.counting is not None else None
        if counts is None or counts.numel() != target.numel():
            return target
        left = ~counts.reshape(target.shape)
        if self.kind == "classes" and not target.is_floating_point():
            return target.long().masked_fill(left, self.ignored)
        return (target if target.is_floating_point() else target.double()).masked_fill(left, NAN)

    @classmethod
    def read(cls, tape: Tape, number: int | None = None) -> Task:
        """The task of a program; by default of the one that runs most often. Read once."""
        number = main_program(tape) if number is None else number
        return remembered(tape, (cls, number), lambda: cls._read(tape, number))

    @classmethod
    def _read(cls, tape: Tape, number: int) -> Task:
        first = next(p for p in tape.passes if p.program == number)
        outside = tuple(tape.tensors[k] for k in first.outside)
        found = cls.of(tape.programs[number], outside, lambda slot: _values(tape, number, slot))
        counts = counting(tape, tape.programs[number], found.loss, found.target, outside)
        if counts is None or _asks(tape, number, found, counts, outside):
            return replace(found, counting=counts)
        return cls("unknown", "value", None, None, found.loss, flat=_flat(tape, number, found.target))


def _asks(tape: Tape, number: int, found: task.Task, counts: Counting, outside: tuple[Tensor, ...]) -> bool:
    """Whether the target is what the network is to answer for each row: then a score against it says how it does.

    A difference that costs more on one side than on the other (quantiles, advantages of a policy) asks for something
    else than its target, and so does one that every target joins with several outputs. A target that only says where
    in the batch a row stands (the pairs of a contrastive loss, the side of a player) belongs to no row. Nor is a target
    asked for where another term of the loss rewards what the network chose (an actor and its critic).
    """
    assert found.target is not None
    program = tape.programs[number]
    if rewards(program, {name: tape.start(name) for name in program.weights()}, outside):
        return False
    if found.loss is not None and found.loss.name in SUBTRACTIONS:
        maker = program.maker(Value(found.output)) if found.output is not None else None
        each = maker is None or prod(maker.shape) == outside[found.target].numel()
        return each and counts.even(outside.__getitem__)
    return not _by_place(tape, number, found)


def _by_place(tape: Tape, number: int, found: task.Task) -> bool:
    """Whether batches of one size have one target, though not one content: one label, or a class for each row."""
    passes, target = [p for p in tape.passes if p.program == number], found.target
    assert target is not None
    first = tape.tensors[passes[0].outside[target]]
    alike = [p for p in passes if tape.tensors[p.outside[target]].shape == first.shape]
    kinds = len(first.unique()) if first.dim() and first.numel() == len(first) else 0
    fixed = kinds == len(first) if found.kind == "classes" and kinds > 1 else kinds == 1 < first.numel()
    if not fixed or len(alike) < PASSES:
        return False
    other = [slot for slot in range(tape.programs[number].slots) if slot != target]
    moved = any(len({p.outside[slot] for p in alike}) > 1 for slot in other)
    return moved and all(torch.equal(tape.tensors[p.outside[target]], first) for p in alike)


def _flat(tape: Tape, number: int, target: int | None) -> bool:
    """Whether the targets of all passes are one and the same number."""
    assert target is not None
    keys = {p.outside[target] for p in tape.passes if p.program == number}
    return len({value for key in keys for value in tape.tensors[key].unique()[:2].tolist()}) == 1


def alternate(tape: Tape) -> bool:
    """Whether optimizers with weights of their own step after different backward passes all along, as players of a
    game do. One fit after the other is no game, nor are fits side by side that have nothing to do with each other (a
    comparison, an ensemble): no loss reads weights of both, and each asks for an answer for each row."""
    steps = _steps(tape)
    return any(_in_turn(steps[n], steps[m]) and not _apart(tape, n, m) for n, m in combinations(steps, 2))


def _in_turn(one: set[int], other: set[int]) -> bool:
    return not one & other and min(one) < max(other) and min(other) < max(one)


def _apart(tape: Tape, one: int, other: int) -> bool:
    """Whether each of two optimizers has losses of its own, and all of these can be judged."""
    mine, theirs = _programs(tape, one), _programs(tape, other)
    return not mine & theirs and all(Task.read(tape, n).kind != "unknown" for n in sorted(mine | theirs))


def _programs(tape: Tape, optimizer: int) -> set[int]:
    """The numbers of the programs with a loss that read what an optimizer holds."""
    held = {p.name for p in tape.parameters if p.optimizer == optimizer}
    numbers = {p.program for p in tape.passes if tape.programs[p.program].loss >= 0}
    return {n for n in numbers if held & set(tape.programs[n].weights())}


def _steps(tape: Tape) -> dict[int, set[int]]:
    """Per optimizer that holds weights: how many passes came before each of its steps."""
    holders = {p.optimizer for p in tape.parameters if p.trainable and p.optimizer >= 0}
    steps = {n: {u.after for u in tape.updates if u.optimizer == n} for n in sorted(holders)}
    return {n: s for n, s in steps.items() if s}


def _hollow(tape: Tape, steps: dict[int, set[int]]) -> dict[int, set[int]]:
    """The same of those that hold no weight of any step (a layer was put in the place of theirs), where they come after
    all others."""
    known = max((max(s) for s in steps.values()), default=0)
    made = {n: {u.after for u in tape.updates if u.optimizer == n} for n in {u.optimizer for u in tape.updates}}
    return {n: s for n, s in made.items() if n not in steps and steps and min(s) > known}


def last_fit(tape: Tape) -> tuple[Pass, ...]:
    """The passes of the last fit, where one network is fitted after another (a teacher, then its student), and of one
    of those that are fitted side by side; else all."""
    steps = _steps(tape)
    steps |= _hollow(tape, steps)
    if len(steps) < 2 or alternate(tape):
        return tape.passes
    last = max(steps, key=lambda n: max(steps[n]))
    beside = [n for n in steps if n == last or _in_turn(steps[n], steps[last])]
    earlier = set[int]().union(*(s for n, s in steps.items() if n not in beside))
    if steps[last] & earlier:
        return tape.passes
    own = _programs(tape, _longest({n: steps[n] for n in beside})) if len(beside) > 1 else None
    return tuple(p for p in tape.passes[max(earlier, default=0) :] if own is None or p.program in own)


def _longest(steps: dict[int, set[int]]) -> int:
    """The optimizer that makes most steps; of equals (a run may be cut between them) the one that begins last: what a
    script compares with comes first."""
    most = max(map(len, steps.values()))
    return max((n for n, s in steps.items() if len(s) >= most - 1), key=lambda n: min(steps[n]))


def main_program(tape: Tape, passes: tuple[Pass, ...] | None = None) -> int:
    """The number of the program with most passes (of the last fit, or of these); NotApplicable where there is none.

    Passes whose gradients were handed to the script (an inner loop that adapts to a task) count where there are no
    others with a loss.
    """
    counts: dict[int, int] = {}
    those = (last_fit(tape) or tape.passes) if passes is None else passes
    spent = [p for p in those if not p.handed and tape.programs[p.program].loss >= 0]
    for p in spent or those:
        if tape.programs[p.program].loss >= 0:
            counts[p.program] = counts.get(p.program, 0) + 1
    if not counts:
        raise NotApplicable("no training step was recorded")
    return max(counts, key=lambda n: counts[n])


def _values(tape: Tape, number: int, slot: int) -> Tensor | None:
    """A slot's tensors over the first passes of a program, in one; None where their shapes differ."""
    keys = dict.fromkeys([p.outside[slot] for p in tape.passes if p.program == number][:200])
    parts = [tape.tensors[k] for k in keys]
    alike = parts[0].dim() and all(part.shape[1:] == parts[0].shape[1:] for part in parts)
    return torch.cat(parts) if alike else None
