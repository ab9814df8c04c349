"""The trained network on its last evaluation, with inputs that have the training's mean and spread in each feature.

Inputs that were prepared otherwise than those of the training are in other units: a network that scores clearly better
once the units are the same is held back by nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.evaluation import FinalEvaluation
from unstuck.signals.overlap import Overlap
from unstuck.tape.model import Tape


@dataclass(frozen=True)
class Realigned:
    """The last evaluation as it was, and with aligned inputs."""

    before: FinalEvaluation
    after: FinalEvaluation

    @classmethod
    def read(cls, tape: Tape) -> Realigned:
        """Raises NotApplicable where no input of the last evaluation can be compared with those of the training."""
        overlap, before = Overlap.read(tape), FinalEvaluation.read(tape)
        last = {b.key: b.rows for b in overlap.batches if b.after == len(tape.passes)}
        if not last:
            raise NotApplicable("the inputs of the last evaluation are of another form than those of the training")
        here, there = _moments(overlap.trained), _moments(torch.cat(list(last.values())))
        after = FinalEvaluation.of(tape, lambda key, tensor: _moved(tensor, there, here) if key in last else tensor)
        return cls(before, after)


Moments = tuple[Tensor, Tensor]


def _moments(rows: Tensor) -> Moments:
    """Mean and standard deviation per feature; one of each for pictures and sequences."""
    axis = (0,) if rows.dim() == 2 else tuple(range(rows.dim()))
    return rows.double().mean(axis), rows.double().std(axis, correction=0)


def _moved(tensor: Tensor, own: Moments, wanted: Moments) -> Tensor:
    """Rows with the wanted moments; a feature that does not vary becomes the wanted mean."""
    (mean, spread), (other, wide) = own, wanted
    standard = (tensor.double() - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))
    return (standard * wide + other).to(tensor.dtype)
