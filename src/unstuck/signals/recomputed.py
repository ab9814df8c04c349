"""The accuracy that the script prints beside our own count, on the same outputs and targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import target_of
from unstuck.signals.printed import Line, Number, Printed
from unstuck.signals.task import Task, handed_on, main_program
from unstuck.signals.yardstick import Yardstick, yardstick
from unstuck.tape.model import Tape
from unstuck.tape.program import Outside, Program, Value

ACCURACY = {"acc", "accuracy"}
OTHERWISE = {
    *("best", "max", "min", "worst", "mean", "avg", "average", "ema", "moving", "running", "smooth", "smoothed", "std"),
    *("balanced", "macro", "micro", "class", "per", "top", "top1", "top3", "top5", "topk", "k", "f1", "both", "any"),
    *("baseline", "chance", "constant", "majority", "loss", "epoch", "word", "token", "sequence", "exact", "subset"),
}
"""With one of these words beside it the number may be meant in another way than rows that are right, of all rows."""
COMPARING = {"eq", "ne"}
CHOOSING = {"getitem", "masked_select", "mul", "logical_and", "and", "bitwise_and", "where", "masked_fill"}
"""What is done to a comparison whose hits are not all counted alike."""
WRONG = 0.1
"""A printed accuracy this far from every count is not an accuracy of those rows."""
FEWEST = 16
"""Rows that a count is made of, at least."""


@dataclass(frozen=True)
class Recounted:
    """A printed accuracy, and what may have been counted."""

    line: Line
    number: Number
    counted: float
    """The share of right rows among all those of the evaluation."""
    rows: int
    nearest: float
    """Of all that may have been counted, what is nearest to the number."""

    @property
    def off(self) -> float:
        """How far the printed share is from any count (0: the same but for rounding)."""
        step = self.number.step / (100 if self.number.value > 1 else 1)
        return max(0.0, abs(self.number.share - self.nearest) - step - 1e-6)


@dataclass(frozen=True)
class Recomputed:
    """Every printed accuracy of which all rows are on the tape, in order."""

    all: tuple[Recounted, ...]

    @classmethod
    def read(cls, tape: Tape) -> Recomputed:
        """NotApplicable where nothing of the kind was printed, or nothing can be counted."""
        announced = Printed.read(tape)
        number, task = main_program(tape), Task.read(tape)
        if task.kind not in ("binary", "classes") or task.output is None:
            raise NotApplicable("the task has no classes that could be counted")
        counter = _Counter(tape, number, task, yardstick(tape, number, task))
        found = tuple(_recounted(announced, counter))
        if not found:
            raise NotApplicable("no accuracy was printed of which all rows are on the tape")
        return cls(found)


def _recounted(announced: Printed, counter: _Counter) -> Iterator[Recounted]:
    before: dict[str, Line] = {}
    for line in announced.lines:
        for number in line.numbers:
            if ACCURACY & set(number.words) and not OTHERWISE & set(number.words) and 0 <= number.value <= 100:
                counts = counter.between(before.get(line.form), line)
                if len(counts):
                    near = counts[(counts[:, 0] - number.share).abs().argmin(), 0]
                    yield Recounted(line, number, float(counts[0, 0]), int(counts[0, 1]), float(near))
        before[line.form] = line


@dataclass(frozen=True)
class _Counter:
    tape: Tape
    number: int
    task: Task
    yard: Yardstick

    def between(self, start: Line | None, end: Line) -> Tensor:
        """(counts, 2): shares of right rows, and how many rows, between two lines.

        First of all forwards; then of all stretches of them and of the last passes of the training, each row counting
        alike; then of the last forwards, each class counting alike.
        """
        low, seen, after = (start.said.evaluations, start.said.seen, start.said.after) if start else (0, 0, 0)
        forwards = end.said.evaluations - low
        if not forwards or min(seen, end.said.seen) < 0 or end.said.seen - seen != forwards:
            return torch.zeros(0, 2)
        judged = [self.judged(n) for n in range(low, end.said.evaluations)]
        if any(j is None for j in judged):
            return torch.zeros(0, 2)
        trained = [c for p in range(after, end.said.after) if (c := self.trained(p)) is not None]
        rows = torch.stack([j for j in judged if j is not None])
        sums = [self._plain(rows.sum(0, keepdim=True)), _stretches(self._plain(rows))]
        sums += [self._plain(torch.stack(trained).flip(0).cumsum(0))] if trained else []
        plain = torch.cat(sums)
        shares = torch.stack([plain[:, 0] / plain[:, 1].clamp(min=1), plain[:, 1]], 1)
        balanced = self._balanced(rows.flip(0).cumsum(0))
        both = torch.cat([shares, balanced])
        return both[both[:, 1] >= FEWEST]

    def _plain(self, rows: Tensor) -> Tensor:
        """(n, 2): hits and rows, whatever the class."""
        return torch.stack([rows[:, : self.yard.classes].sum(1), rows[:, self.yard.classes :].sum(1)], 1)

    def _balanced(self, sums: Tensor) -> Tensor:
        """(n, 2): mean share of hits over the classes, and rows."""
        hits, rows = sums[:, : self.yard.classes], sums[:, self.yard.classes :]
        share = (hits / rows.clamp(min=1)).sum(1) / (rows > 0).sum(1).clamp(min=1)
        return torch.stack([share, rows.sum(1)], 1)

    def judged(self, number: int) -> Tensor | None:
        """Hits and rows per class of an evaluation."""
        evaluation = self.tape.evaluations[number]
        program = self.tape.programs[evaluation.program]
        assert self.task.output is not None
        output = handed_on(self.tape.programs[self.number], self.task.output, program)
        outside = tuple(self.tape.tensors[k] for k in evaluation.outside)
        slot = target_of(program, Value(output.id), outside) if output is not None else None
        if slot is None or not evaluation.output or self._chosen(program, output, slot):
            return None
        return self._rows(self.tape.tensors[evaluation.output], outside[slot])

    def _chosen(self, program: Program, output: Value | None, slot: int) -> bool:
        """Whether not all answers are counted: several per row, of which some are padding, or those of a mask."""
        told = next((c for c in program.calls if Outside(slot) in c.refs() and c.name in COMPARING), None)
        if output is None or told is None:
            return False
        return any(c.name in CHOOSING for out in told.outs for c in program.users(Value(out)))

    def trained(self, number: int) -> Tensor | None:
        """Hits and rows per class of a training batch, as its forward found them."""
        one = self.tape.passes[number]
        if one.program != self.number or not one.output or self.task.target is None:
            return None
        return self._rows(self.tape.tensors[one.output], self.tape.tensors[one.outside[self.task.target]])

    def _rows(self, output: Tensor, target: Tensor) -> Tensor | None:
        classes = self.yard.classes if self.task.kind == "classes" else 1
        whole = not target.is_floating_point() or bool((target == target.round()).all())
        one_hot = self.task.kind == "classes" and target.is_floating_point()
        if not one_hot and target.numel() != target.shape[:1].numel():
            return None  # several answers per row: some of them may be padding, and the script knows which
        fits = output.numel() == target.numel() * (1 if one_hot else classes)
        if not fits or not whole or not target.numel() or float(target.min()) < 0 or not torch.isfinite(output).all():
            return None
        return self.yard.rows(self.task, output.unsqueeze(0), target)[0]


def _stretches(rows: Tensor) -> Tensor:
    """The sums over all stretches of rows that follow each other, (n, K) -> (n (n + 1) / 2, K)."""
    sums = torch.cat([rows.new_zeros(1, rows.shape[1]), rows.cumsum(0)])
    low, high = torch.triu_indices(len(sums), len(sums), 1)
    return sums[high] - sums[low]
