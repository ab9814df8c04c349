"""Recall per class: of the rows of each class, the share that is predicted as such."""

from __future__ import annotations

import torch

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.losses import Losses
from unstuck.signals.yardstick import yardstick


def hit_rates(losses: Losses) -> torch.Tensor:
    """(classes,) recall over the last quarter of the sampled passes, on the rows that the loss counts."""
    yard = yardstick(losses.tape, losses.passes[0].program, losses.task)
    late = [p for p in losses.passes[3 * len(losses.passes) // 4 :] if p.output]
    if not late or losses.task.target is None:
        raise NotApplicable("the outputs were not recorded")
    tensors = losses.tape.tensors
    targets = [losses.task.wanted(lambda slot, p=p: tensors[p.outside[slot]]) for p in late]
    rows = [yard.rows(losses.task, tensors[p.output].unsqueeze(0), y)[0] for p, y in zip(late, targets, strict=True)]
    hits, counts = torch.stack(rows).sum(0).split(yard.classes)
    return hits / counts.clamp(min=1)
