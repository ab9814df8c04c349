"""BatchNorm in eval mode, in plain PyTorch: do its running statistics work as well as those of the batch?"""

from __future__ import annotations

from typing import NamedTuple

import torch

from unstuck.tabular.studies.heart_rate.data import COUNT, draw
from unstuck.tabular.studies.heart_rate.variants import NORM10
from unstuck.tabular.studies.nets import module, train


class Evaluated(NamedTuple):
    """Accuracy with the running statistics and with those of the batch, after some epochs."""

    running: float
    batch: float
    epochs: int


def evaluate(epochs: int = 500, seed: int = 0) -> Evaluated:
    """Train one network with BatchNorm1d in front on all rows, and evaluate it in both modes."""
    rows = draw(NORM10.source, seed)
    times = (rows.shares * COUNT).round().long()
    x, y = rows.x.repeat_interleave(times, 0), rows.y.repeat_interleave(times)
    model = train(NORM10.net, module(NORM10.net, seed), NORM10.pace, [(x, y)] * epochs)
    with torch.no_grad():
        batch = float((model(x).squeeze(1).round() == y).float().mean())
        running = float((model.eval()(x).squeeze(1).round() == y).float().mean())
    return Evaluated(running, batch, epochs)
