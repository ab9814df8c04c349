"""The score of the script's own last evaluation, over the batches of which no row had been trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.overlap import Overlap
from unstuck.signals.recomputed import Answers
from unstuck.tape.model import Tape


@dataclass(frozen=True)
class HeldOut:
    """As the network answered when the script asked it, in the mode that it was in."""

    score: float
    skill: float
    name: str
    """Of the metric."""
    batches: int

    @classmethod
    def read(cls, tape: Tape) -> HeldOut:
        """NotApplicable if no evaluation, or not for certain, is of rows that were not trained on."""
        answers = Answers.read(tape)
        parts = [rows for n in cls.numbers(tape) if (rows := _rows(answers, n)) is not None]
        if not parts:
            raise NotApplicable("no evaluation of rows that were not trained on can be scored")
        score = answers.yard.score(torch.stack(parts).sum(0))
        return cls(float(score), float(answers.yard.skill(score)), answers.yard.name, len(parts))

    @staticmethod
    def numbers(tape: Tape) -> list[int]:
        """The numbers of its batches among the evaluations."""
        fresh = Overlap.read(tape).fresh
        last = max((e.after for e in tape.evaluations), default=0)
        found = [n for n, e in enumerate(tape.evaluations) if 0 < e.after == last and fresh & set(e.outside)]
        if not found:
            raise NotApplicable("no evaluation is certain to be of rows that were not trained on")
        return found


def _rows(answers: Answers, number: int) -> Tensor | None:
    """What the yardstick counts in one evaluation batch; None if its targets are not known or do not fit."""
    tape, place = answers.tape, answers.place(number)
    if place is None:
        return None
    evaluation = tape.evaluations[number]
    output, target = tape.tensors[evaluation.output], tape.tensors[evaluation.outside[place[1]]]
    try:
        return answers.yard.rows(answers.task, output.unsqueeze(0), target)[0]
    except (RuntimeError, IndexError, ValueError):
        return None
