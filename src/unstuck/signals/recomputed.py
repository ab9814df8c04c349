"""Printed accuracies, recomputed from the recorded outputs and targets; and the score of each evaluation batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import target_of
from unstuck.signals.printed import Line, Number, Printed
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, fitted, yardstick
from unstuck.tape.interpreter import run
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, Value, mapped
from unstuck.tape.task import handed_on

ACCURACY = {"acc", "accuracy"}
OTHERWISE = {
    *("best", "max", "min", "worst", "mean", "avg", "average", "ema", "moving", "running", "smooth", "smoothed", "std"),
    *("balanced", "macro", "micro", "class", "per", "top", "top1", "top3", "top5", "topk", "k", "f1", "both", "any"),
    *("baseline", "chance", "constant", "majority", "loss", "epoch", "word", "token", "sequence", "exact", "subset"),
}
"""Next to one of these words a number may mean something else than the share of correct rows."""
COMPARING = {"eq", "ne"}
BOUNDING = {"clamp", "clip", "clamp_min", "clamp_max", "relu"}
CHOOSING = {"getitem", "masked_select", "mul", "logical_and", "and", "bitwise_and", "where", "masked_fill"}
"""Calls that mask or weight a comparison, so that not every row counts alike."""
WRONG, RIGHT = 0.1, 0.02
"""Distance of a printed accuracy from every recomputed one: another number; the same, averaged over unequal batches."""
FEWEST = 16
"""Rows of an evaluation; below, one row is more than 0.06 of the accuracy."""


@dataclass(frozen=True)
class Recounted:
    """A printed accuracy and its recomputed values."""

    line: Line
    number: Number
    counted: float
    """The share of correct rows of the evaluation."""
    rows: int
    nearest: float
    """The recomputed value nearest to the printed one, over all runs of batches."""

    @property
    def off(self) -> float:
        """Distance of the printed share from the nearest recomputed one, without rounding."""
        step = self.number.step / (100 if self.number.value > 1 else 1)
        return max(0.0, abs(self.number.share - self.nearest) - step - 1e-6)


@dataclass(frozen=True)
class Recomputed:
    """Every printed accuracy whose rows are all on the tape, in order."""

    all: tuple[Recounted, ...]

    @classmethod
    def read(cls, tape: Tape) -> Recomputed:
        """NotApplicable if no accuracy was printed whose rows are recorded, or the task is no classification."""
        printed, answers = Printed.read(tape), Answers.read(tape)
        if answers.task.kind not in ("binary", "classes"):
            raise NotApplicable("the task is not a classification")
        found = tuple(_recounted(printed, _Counter(answers)))
        if not found:
            raise NotApplicable("no accuracy was printed whose rows are all on the tape")
        return cls(found)

    def last(self) -> dict[str, Recounted]:
        """The last of each form of line."""
        return {r.line.form: r for r in self.all}


def corrected(before: Tape, after: Tape) -> str | None:
    """How an accuracy that was printed wrongly is now printed as recomputed; None if none is."""
    try:
        old, new = Recomputed.read(before).last(), Recomputed.read(after).last()
    except NotApplicable:
        return None
    for was, now in ((old[form], new[form]) for form in old.keys() & new.keys()):
        if was.off > WRONG and now.off <= RIGHT:
            first = f"printed accuracy {was.number.value:g}, recomputed {was.counted:.3f} on the same {was.rows} rows"
            return f"{first}; after the patch printed {now.number.value:g}, recomputed {now.counted:.3f}"
    return None


@dataclass(frozen=True)
class Answers:
    """Outputs and targets of the recorded evaluations, and the yardstick of the training."""

    tape: Tape
    main: int
    task: Task
    yard: Yardstick

    @classmethod
    def read(cls, tape: Tape) -> Answers:
        """NotApplicable if the network's output is not known."""
        main, task = main_program(tape), Task.read(tape)
        if task.output is None:
            raise NotApplicable("the network's output is not known")
        return cls(tape, main, task, yardstick(tape, main, task))

    def place(self, number: int) -> tuple[Value, int] | None:
        """The output in the program of an evaluation, and the slot of its targets."""
        evaluation = self.tape.evaluations[number]
        program = self.tape.programs[evaluation.program]
        assert self.task.output is not None
        output = handed_on(self.tape.programs[self.main], self.task.output, program)
        outside = tuple(self.tape.tensors[k] for k in evaluation.outside)
        if output is None or not evaluation.output:
            return None
        made = self.tape.tensors[evaluation.output]
        slot = target_of(program, Value(output.id), outside, len(made) if made.dim() else 0)
        return None if slot is None else (output, slot)

    def skill(self, number: int) -> float | None:
        """Skill of one evaluation batch; None if its targets are not known or do not fit."""
        rows = self.counted(number)
        return None if rows is None else float(self.yard.skill(self.yard.score(rows)))

    def counted(self, number: int) -> Tensor | None:
        """(K,) What the yardstick adds up of one evaluation batch; None if its targets are not known or do not fit."""
        pair = self.pair(number)
        try:
            if pair is None:
                return None
            return self.yard.rows(self.task, fitted(self.task, *pair).unsqueeze(0), pair[1])[0]
        except (RuntimeError, IndexError, ValueError):
            return None

    def pair(self, number: int) -> tuple[Tensor, Tensor] | None:
        """The answers and the targets of one evaluation batch; None where they are not known."""
        evaluation, place = self.tape.evaluations[number], self.place(number)
        if place is None:
            return None
        output, wanted = self.tape.tensors[evaluation.output], self.tape.tensors[evaluation.outside[place[1]]]
        if self.task.kind == "regression":
            output = _bounded(self.tape.programs[evaluation.program], *place, output)
        return output, wanted


def _bounded(program: Program, output: Value, slot: int, answers: Tensor) -> Tensor:
    """The answers as they meet their targets, where the evaluation only keeps them within bounds on the way."""
    ref, bounded = output, answers
    while True:
        users = program.users(ref)
        if any(Outside(slot) in call.refs() for call in users):
            return bounded
        call = users[0] if len(users) == 1 else None
        if call is None or call.name not in BOUNDING or any(r != ref for r in call.refs()):
            return answers
        bounded = run(_alone(call), {}, (bounded,), {})[call.outs[0]]
        ref = Value(call.outs[0])


def _alone(call: Call) -> Program:
    """A program of one call, whose one tensor enters."""
    entering = lambda ref: Outside(0) if isinstance(ref, Value) else ref
    args, kwargs = mapped(call.args, entering), mapped(call.kwargs, entering)
    return Program((msgspec.structs.replace(call, args=args, kwargs=kwargs),), call.outs[0], 1)


def _recounted(printed: Printed, counter: _Counter) -> Iterator[Recounted]:
    before: dict[str, Line] = {}
    for line in printed.lines:
        for number in (n.scaled for n in line.numbers):
            if ACCURACY & set(number.words) and not OTHERWISE & set(number.words) and 0 <= number.value <= 100:
                counts = counter.between(before.get(line.form), line)
                if len(counts):
                    near = counts[(counts[:, 0] - number.share).abs().argmin(), 0]
                    yield Recounted(line, number, float(counts[0, 0]), int(counts[0, 1]), float(near))
        before[line.form] = line


@dataclass(frozen=True)
class _Counter:
    answers: Answers

    @property
    def yard(self) -> Yardstick:
        return self.answers.yard

    @property
    def task(self) -> Task:
        return self.answers.task

    def between(self, start: Line | None, end: Line) -> Tensor:
        """(counts, 2): shares of correct rows, and numbers of rows, between two printed lines.

        First over all evaluation batches; then over every run of them and over the last training batches; then the
        balanced accuracy over the last evaluation batches.
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
        """(n, 2): correct rows and rows, over all classes."""
        return torch.stack([rows[:, : self.yard.classes].sum(1), rows[:, self.yard.classes :].sum(1)], 1)

    def _balanced(self, sums: Tensor) -> Tensor:
        """(n, 2): balanced accuracy, and rows."""
        hits, rows = sums[:, : self.yard.classes], sums[:, self.yard.classes :]
        share = (hits / rows.clamp(min=1)).sum(1) / (rows > 0).sum(1).clamp(min=1)
        return torch.stack([share, rows.sum(1)], 1)

    def judged(self, number: int) -> Tensor | None:
        """Correct rows and rows per class of an evaluation batch."""
        tape, place = self.answers.tape, self.answers.place(number)
        evaluation = tape.evaluations[number]
        if place is None or _masked(tape.programs[evaluation.program], place[1]):
            return None
        return self._rows(tape.tensors[evaluation.output], tape.tensors[evaluation.outside[place[1]]])

    def trained(self, number: int) -> Tensor | None:
        """Correct rows and rows per class of a training batch, before its update."""
        tape, one = self.answers.tape, self.answers.tape.passes[number]
        if one.program != self.answers.main or not one.output or self.task.target is None:
            return None
        return self._rows(tape.tensors[one.output], tape.tensors[one.outside[self.task.target]])

    def _rows(self, output: Tensor, target: Tensor) -> Tensor | None:
        classes = self.yard.classes if self.task.kind == "classes" else 1
        whole = not target.is_floating_point() or bool((target == target.round()).all())
        one_hot = self.task.kind == "classes" and target.is_floating_point()
        if not one_hot and target.numel() != target.shape[:1].numel():
            return None  # several answers per row: some may be padding, which only the script knows
        fits = output.numel() == target.numel() * (1 if one_hot else classes)
        if not fits or not whole or not target.numel() or float(target.min()) < 0 or not torch.isfinite(output).all():
            return None
        return self.yard.rows(self.task, output.unsqueeze(0), target)[0]


def _masked(program: Program, slot: int) -> bool:
    """Whether the comparison with the targets is masked or weighted, so that not all rows count."""
    compared = next((c for c in program.calls if Outside(slot) in c.refs() and c.name in COMPARING), None)
    outs = compared.outs if compared is not None else ()
    return any(c.name in CHOOSING for out in outs for c in program.users(Value(out)))


def _stretches(rows: Tensor) -> Tensor:
    """The sums over every run of consecutive rows, (n, K) -> (n (n + 1) / 2, K)."""
    sums = torch.cat([rows.new_zeros(1, rows.shape[1]), rows.cumsum(0)])
    low, high = torch.triu_indices(len(sums), len(sums), 1)
    return sums[high] - sums[low]
