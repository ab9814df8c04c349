"""The script's own evaluation, with classes under other names: would a fixed renaming make its answers right?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.signals.held_out import HeldOut
from unstuck.signals.overlap import Overlap
from unstuck.signals.recomputed import Answers
from unstuck.tape.model import Tape
from unstuck.tape.program import Outside

FEWEST, ROWS = 5, 32
"""Rows per class, on average, and in all: with fewer, the best of all renamings is right by chance."""


@dataclass(frozen=True)
class RenamedClasses:
    """Accuracy on rows held out, as evaluated and under the best renaming."""

    plain: float
    renamed: float
    classes: int
    moved: int
    """Classes that the renaming moves."""
    rows: int
    site: Site | None
    """Where the answers meet their targets."""

    @classmethod
    def read(cls, tape: Tape) -> RenamedClasses:
        """NotApplicable where no held-out classes are known, or no renaming is one to one."""
        answers, batches = Answers.read(tape), HeldOut.numbers(tape, Overlap.read(tape))
        if answers.task.kind not in ("classes", "binary"):
            raise NotApplicable("the task is not a classification")
        table = sum((_table(answers, n) for n in batches), torch.zeros(answers.yard.classes, answers.yard.classes))
        seen = torch.nonzero(table.sum(1)).flatten()
        best = table[seen].argmax(1)
        if float(table.sum()) < max(ROWS, FEWEST * len(seen)) or len(best.unique()) < len(best):
            raise NotApplicable("no renaming of the classes is one to one on the rows held out")
        rows = float(table.sum())
        right, after = float(table.diagonal().sum()) / rows, float(table[seen, best].sum()) / rows
        return cls(right, after, len(seen), int((best != seen).sum()), int(rows), _site(answers, batches[0]))


def _table(answers: Answers, number: int) -> Tensor:
    """(classes, classes): rows by their target and by what the network answered."""
    tape, place, count = answers.tape, answers.place(number), answers.yard.classes
    evaluation = tape.evaluations[number]
    if place is None:
        return torch.zeros(count, count)
    output, target = tape.tensors[evaluation.output], tape.tensors[evaluation.outside[place[1]]].reshape(-1)
    if answers.task.kind == "classes":
        guess = output.argmax(1).reshape(-1)
    else:
        guess = (output > (0.0 if answers.task.scale == "logit" else 0.5)).long().reshape(-1)
    fits = len(guess) == len(target) and bool(((target >= 0) & (target < count)).all())
    pairs = target.long() * count + guess if fits else torch.zeros(0, dtype=torch.long)
    return torch.bincount(pairs, minlength=count * count).reshape(count, count).float()


def _site(answers: Answers, number: int) -> Site | None:
    place = answers.place(number)
    program = answers.tape.programs[answers.tape.evaluations[number].program]
    users = program.users(Outside(place[1])) if place is not None else ()
    return users[0].site if users else None
