"""Initial logits, the size of one step, and the condition number of the inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.tabular.studies.lanes import Lanes, packed, with_one
from unstuck.tabular.studies.nets import Net, Pace, module
from unstuck.tabular.studies.rice.table import Rice, formed
from unstuck.tabular.studies.rice.training import BATCH, HIDDEN, RATE


@dataclass(frozen=True)
class Start:
    """One form of the inputs."""

    form: str
    logits: Tensor
    """Before the first step, of all seeds and rows, flat."""
    moved: Tensor
    """Absolute change by one Adam step, flat."""
    condition: float
    """Largest over smallest eigenvalue of the second moments of the inputs and a column of ones."""
    largest: float
    """The largest eigenvalue."""

    def inside(self, low: float, high: float) -> float:
        """The share of the logits in an interval."""
        return float(((self.logits > low) & (self.logits < high)).float().mean())


@torch.no_grad()
def look(rice: Rice, form: str, seeds: int) -> Start:
    """Measure one form with the loss on logits, whose gradient is never zero."""
    x, y = with_one(formed(rice.x, form)), torch.from_numpy(rice.y).float()
    net = Net(rice.x.shape[1], HIDDEN, "none", "logits")
    lanes = Lanes(net, torch.stack([packed(module(net, seed)) for seed in range(seeds)]), [Pace(RATE)] * seeds)
    rows = torch.stack(
        [torch.randperm(len(y), generator=torch.Generator().manual_seed(s))[:BATCH] for s in range(seeds)]
    )
    before = lanes.logits(x.expand(seeds, *x.shape))
    lanes.step(x[rows], y[rows][:, None], torch.full((1, 1, BATCH), 1 / BATCH))
    after = lanes.logits(x.expand(seeds, *x.shape))
    values = torch.linalg.eigvalsh(x.double().T @ x.double() / len(x))
    return Start(
        form, before.flatten(), (after - before).abs().flatten(), float(values[-1] / values[0]), float(values[-1])
    )
