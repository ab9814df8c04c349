"""How often the rows of each class are named rightly."""

from __future__ import annotations

import torch

from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.losses import Losses
from unstuck.signals.yardstick import yardstick


def hit_rates(endings: Losses) -> torch.Tensor:
    """(classes,) share of each class's rows that were named rightly, over the last quarter of the sampled passes."""
    yard = yardstick(endings.tape, endings.passes[0].program, endings.task)
    late = [p for p in endings.passes[3 * len(endings.passes) // 4 :] if p.output]
    target = endings.task.target
    if not late or target is None:
        raise NotApplicable("the outputs were not recorded")
    rows = sum(
        yard.rows(endings.task, endings.tape.tensors[p.output].unsqueeze(0), endings.tape.tensors[p.outside[target]])[0]
        for p in late
    )
    assert isinstance(rows, torch.Tensor)
    return rows[: yard.classes] / rows[yard.classes :].clamp(min=1)
