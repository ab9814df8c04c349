"""How good an output is: hits per class or squared errors, against the best constant predictor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unstuck.signals.remembered import remembered
from unstuck.signals.task import Task
from unstuck.tape.model import Tape
from unstuck.tape.program import Program

IMBALANCED = 0.8
"""From this share of the largest class on, accuracy is the mean over classes: the constant would be too good."""

FLAT = 1e-12
"""Variance of equal targets, relative to the square of their mean: float32 rounds at 6e-8, squared 4e-15."""


@dataclass(frozen=True)
class Yardstick:
    """Scores outputs of one task against all the tape's targets."""

    kind: str
    classes: int
    counts: Tensor
    """Rows per class, (C,); empty for regression."""
    mean: Tensor
    """Mean target, in the target's own trailing shape; empty for classification."""
    variance: float
    """Mean squared distance of the targets from their mean."""
    fillers: tuple[int, ...] = ()
    """Labels that the training's loss never counts (padding): they count in no evaluation either."""

    @property
    def balanced(self) -> bool:
        """Whether hits are averaged over classes rather than rows."""
        return bool(self.counts.numel()) and float(self.counts.max() / self.counts.sum()) >= IMBALANCED

    @property
    def flat(self) -> bool:
        """Whether all targets are equal, so that the constant answer is perfect."""
        if self.kind == "regression":
            return self.variance <= FLAT * float(self.mean.double().square().mean())
        return bool(self.counts.sum() > 0) and int((self.counts > 0).sum()) == 1

    @property
    def name(self) -> str:
        """What the score is called."""
        if self.kind in ("regression", "unknown"):
            return {"regression": "r2", "unknown": "loss"}[self.kind]
        return "balanced accuracy" if self.balanced else "accuracy"

    @property
    def constant(self) -> float | None:
        """The best constant predictor's score."""
        if self.kind == "unknown":
            return None
        if not self.counts.numel():
            return 0.0
        present = int((self.counts > 0).sum())
        return 1 / max(present, 1) if self.balanced else float(self.counts.max() / self.counts.sum())

    def rows(self, task: Task, output: Tensor, target: Tensor) -> Tensor:
        """(lanes, K): hits per class, then rows per class; or squared error and squared distance from the mean."""
        if self.kind == "regression":
            return self._squares(task.numbers(output), target)
        guess, truth = decisions(task, output, target)
        known = counted(task, target)
        if self.fillers and known.shape == truth.shape:
            known = known & ~torch.isin(truth, torch.tensor(self.fillers))
        if not bool(known.all()):
            guess, truth = guess[:, known], truth[known]
        hits = torch.zeros(guess.shape[0], self.classes, dtype=torch.float64, device=guess.device)
        hits.index_add_(1, truth, (guess == truth).double())
        rows = torch.bincount(truth, minlength=self.classes)[: self.classes].double()
        return torch.cat([hits, rows.expand_as(hits)], 1)

    def _squares(self, output: Tensor, target: Tensor) -> Tensor:
        target = target.double()
        output = output.double()
        if output.shape[1:] != target.shape and output[0].numel() == target.numel():
            output = output.reshape(output.shape[0], *target.shape)
        if output.shape[1:] != target.shape:
            output, target = output.flatten(1).mean(1, keepdim=True), target.flatten().mean().reshape(1)
        error = (output - target).square().where(~torch.isnan(target), 0.0).flatten(1).sum(1)
        middle = (self.mean if self.mean.shape == target.shape[1:] else self.mean.mean()).to(target.device)
        around = (target - middle).square().nansum()
        return torch.stack([error, around.expand_as(error)], 1)

    def score(self, rows: Tensor) -> Tensor:
        """The metric of summed rows, (..., K) -> (...)."""
        if self.kind == "regression":
            return 1 - rows[..., 0] / rows[..., 1].clamp(min=1e-300)
        hits, count = rows[..., : self.classes], rows[..., self.classes :]
        if self.balanced:
            return (hits / count.clamp(min=1)).sum(-1) / (count > 0).sum(-1).clamp(min=1)
        return hits.sum(-1) / count.sum(-1).clamp(min=1)

    def skill(self, score: Tensor) -> Tensor:
        """0 at the best constant predictor, 1 at perfection; never below -1, and -1 where the score is not a number."""
        base = self.constant or 0.0
        return torch.nan_to_num((score - base) / max(1 - base, 1e-9), nan=-1.0, neginf=-1.0).clamp(-1, 1)


def counted(task: Task, target: Tensor) -> Tensor:
    """(rows,) Which class labels the loss counts: as `Task.wanted` marks them."""
    known = ~torch.isnan(target) if target.is_floating_point() else target != task.ignored
    return (known.all(1) if _is_table(task, target) else known).reshape(-1)


def yardstick(tape: Tape, number: int, task: Task) -> Yardstick:
    """The yardstick of a program's task, with constants from all its recorded targets. Made once for its own task."""
    make = lambda: _yardstick(tape, number, task)
    return remembered(tape, (Yardstick, number), make) if task is Task.read(tape, number) else make()


def _yardstick(tape: Tape, number: int, task: Task) -> Yardstick:
    empty = torch.zeros(0)
    if task.kind == "unknown" or task.target is None:
        return Yardstick("unknown", 0, empty, empty, 0.0)
    slots = task.slots
    met = dict.fromkeys(tuple(p.outside[slot] for slot in slots) for p in tape.passes if p.program == number)
    targets = [task.wanted(lambda slot, keys=keys: tape.tensors[keys[slots.index(slot)]]) for keys in met]
    found = of_targets(task, targets)
    return replace(found, fillers=_fillers(task, (tape.tensors[keys[0]] for keys in met), found.counts))


def of_targets(task: Task, targets: list[Tensor]) -> Yardstick:
    """The yardstick with constants from these targets, as `Task.wanted` gives them."""
    empty = torch.zeros(0)
    if task.kind == "regression":
        return _of_values(targets)
    truths = [_truth(task, t).reshape(-1)[counted(task, t)] for t in targets]
    classes = max(task.classes, 1 + max((int(t.max()) for t in truths if t.numel()), default=1))
    counts = sum((torch.bincount(t.clamp(min=0), minlength=classes)[:classes] for t in truths), torch.zeros(classes))
    return Yardstick(task.kind, classes, counts.double(), empty, 0.0)


def _fillers(task: Task, recorded: Iterable[Tensor], counts: Tensor) -> tuple[int, ...]:
    """Labels that stand among the recorded targets and are never counted."""
    if task.kind != "classes" or task.counting is None:
        return ()
    met = {int(label) for t in recorded if not t.is_floating_point() for label in t.unique()}
    return tuple(sorted(n for n in met if not 0 <= n < len(counts) or not counts[n]))


def _of_values(targets: list[Tensor]) -> Yardstick:
    """Target by target: a copy of all of them in double precision would take longer than the sums."""
    same = all(t.dim() and t.shape[1:] == targets[0].shape[1:] for t in targets)
    parts = targets if same else [t.reshape(-1) for t in targets]
    total, count = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.int64)
    for values, known in map(_finite, parts):
        total, count = total + values.sum(0), count + known.sum(0)
    mean, squares = (total / count).nan_to_num(), 0.0
    for values, known in map(_finite, parts):
        squares += float((values - mean).masked_fill_(~known, 0.0).square_().sum())
    return Yardstick("regression", 0, torch.zeros(0), mean, squares / max(1.0, float(count.sum())))


def _finite(target: Tensor) -> tuple[Tensor, Tensor]:
    """The numbers in double precision, zeros where they are not finite, and where they are."""
    known = torch.isfinite(target)
    return target.double().masked_fill(~known, 0.0), known


def _is_table(task: Task, target: Tensor) -> bool:
    """Whether the target has a number for each class: a probability, or one for the class and zeros."""
    return task.kind == "classes" and target.is_floating_point() and target.dim() > 1 and target.shape[-1] > 1


def _truth(task: Task, target: Tensor) -> Tensor:
    """Class numbers, whatever form the target has."""
    if _is_table(task, target):
        return target.argmax(1)
    return torch.nan_to_num(target.double()).round().long().clamp(min=0)


def decisions(task: Task, output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(guesses (lanes, rows), truth (rows,)) as class numbers; a row that is not a number is always wrong."""
    truth = _truth(task, target).reshape(-1)
    if task.kind == "classes":
        axis = _class_axis(tuple(output.shape), tuple(target.shape))
        guess = output.argmax(axis).where(torch.isfinite(output).all(axis), -1)
    else:
        guess = (output > (0.0 if task.scale == "logit" else 0.5)).long().where(torch.isfinite(output), -1)
    guess = guess.reshape(guess.shape[0], -1)
    if guess.shape[1] == truth.numel():
        return guess, truth
    return torch.full((guess.shape[0], truth.numel()), -1, device=truth.device), truth


def fitted(task: Task, output: Tensor, target: Tensor) -> Tensor:
    """An evaluation's answers, (rows, ...), so that each target has one. Raises ValueError where that cannot be.

    A training may flatten a sequence before its loss, and an evaluation after it has decided.
    """
    if task.kind != "classes":
        if output.numel() != target.numel():
            raise ValueError("the answers do not fit the targets")
        return output
    truths = _truth(task, target).numel()
    shape = (1, *output.shape)
    if len(shape) > 2 and output.numel() // max(shape[_class_axis(shape, tuple(target.shape))], 1) == truths:
        return output
    if output.dim() and output.shape[-1] == task.classes and output.numel() == truths * task.classes:
        return output.reshape(-1, task.classes)
    raise ValueError("the answers do not fit the targets")


def _class_axis(output: tuple[int, ...], target: tuple[int, ...]) -> int:
    """The axis of the classes in (lanes, rows, ...): torch's second of a row, or the last where only that one fits."""
    second = min(2, len(output) - 1)
    last_fits = len(output) > 3 and output[1:-1] == target and output[1:second] + output[second + 1 :] != target
    return len(output) - 1 if last_fits else second


def retask(task: Task, program: Program, outside: tuple[Tensor, ...]) -> Task:
    """The task as it stands in a treated program, whose loss and output may be others."""
    now = Task.of(program, outside)
    if now.output is None or task.kind == "unknown":
        return task
    target = task.target if now.target is None else now.target
    return replace(now, kind=task.kind, classes=task.classes, target=target, counting=task.counting)
