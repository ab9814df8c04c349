"""The score of the script's own last evaluation, over the batches of which no row had been trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch

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
        return cls.of(tape, Overlap.read(tape))

    @classmethod
    def of(cls, tape: Tape, overlap: Overlap) -> HeldOut:
        """The same, with the reading of which rows were trained on."""
        answers = Answers.read(tape)
        parts = [rows for n in cls.numbers(tape, overlap) if (rows := answers.counted(n)) is not None]
        if not parts:
            raise NotApplicable("no evaluation of rows that were not trained on can be scored")
        score = answers.yard.score(torch.stack(parts).sum(0))
        return cls(float(score), float(answers.yard.skill(score)), answers.yard.name, len(parts))

    @staticmethod
    def numbers(tape: Tape, overlap: Overlap) -> list[int]:
        """The numbers of its batches among the evaluations."""
        fresh = overlap.fresh
        last = max((e.after for e in tape.evaluations), default=0)
        found = [n for n, e in enumerate(tape.evaluations) if 0 < e.after == last and fresh & set(e.outside)]
        if not found:
            raise NotApplicable("no evaluation is certain to be of rows that were not trained on")
        return found
