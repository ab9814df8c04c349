"""The class weights that a loss was given, beside how often each class occurs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.losses import Losses
from unstuck.signals.yardstick import yardstick
from unstuck.tape.model import Tape
from unstuck.tape.ops import CLASS_WEIGHTS
from unstuck.tape.program import Outside, Weight

UNEVEN = 1.5
"""Ratio of counts, and of weights, below which neither is said to favour a class."""


@dataclass(frozen=True)
class ClassWeights:
    """Weight and number of recorded rows, by class."""

    weights: Tensor
    counts: Tensor

    @property
    def reversed(self) -> bool:
        """Whether the loss gives more weight to a class the more rows it has."""
        seen = self.counts > 0
        weights, counts = self.weights[seen].double(), self.counts[seen].double()
        if len(counts) < 2 or not (_uneven(weights) and _uneven(counts)):
            return False
        ranks = torch.stack([weights.argsort().argsort(), counts.argsort().argsort()]).double()
        return bool((ranks[0] == ranks[1]).all())

    @classmethod
    def read(cls, tape: Tape) -> ClassWeights:
        """Raises NotApplicable where the loss of the task is given no weights, or not one for each class."""
        losses = Losses.read(tape)
        call, task = losses.task.loss, losses.task
        if call is None or call.name not in CLASS_WEIGHTS or task.kind not in ("binary", "classes"):
            raise NotApplicable("the loss takes no class weights")
        given = call.argument(*CLASS_WEIGHTS[call.name])
        weights = _tensor(losses, given)
        if weights is None:
            raise NotApplicable("the loss is given no class weights")
        counts = yardstick(tape, losses.passes[0].program, task).counts
        if weights.numel() == 1 and call.name.startswith("binary"):
            weights = torch.cat([torch.ones(1), weights.reshape(1).float()])
        if weights.dim() != 1 or len(weights) != len(counts):
            raise NotApplicable("the loss is not given one weight for each class")
        return cls(weights, counts)


def _uneven(numbers: Tensor) -> bool:
    return float(numbers.max()) > UNEVEN * float(numbers.min())


def _tensor(losses: Losses, ref: object) -> Tensor | None:
    if isinstance(ref, Outside):
        return losses.tape.tensors[losses.passes[0].outside[ref.slot]]
    return losses.tape.start(ref.name) if isinstance(ref, Weight) else None
