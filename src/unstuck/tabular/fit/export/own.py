"""A user's trained module as the one stage of a model. Needs torch."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from unstuck.tabular.fit.encoder import Encoder
from unstuck.tabular.fit.export.stages import answers
from unstuck.tabular.fit.module import ModuleModel
from unstuck.tabular.fit.module_training import shaped
from unstuck.tabular.fit.stage import PLAIN


class Own(nn.Module):
    """The lanes of a `ModuleModel`, whose predictions are averaged: in float64 where they can be."""

    views = (PLAIN,)

    def __init__(self, model: ModuleModel) -> None:
        super().__init__()
        self.loss, self.wide = model.task.loss, _widens(model.nets[0], model.encoder)
        self.nets = nn.ModuleList(deepcopy(net).double() if self.wide else deepcopy(net) for net in model.nets)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """From the inputs in the plain view to (n, outputs)."""
        x = inputs[0].float()
        z = [shaped(net(x.double() if self.wide else x), self.loss).double() for net in self.nets]
        return torch.stack([answers(one, self.loss) for one in z]).mean(0)


def _widens(net: nn.Module, encoder: Encoder) -> bool:
    """Whether a network computes in float64; one that makes tensors of a fixed type does not."""
    try:
        with torch.no_grad():
            deepcopy(net).double().eval()(torch.zeros(2, encoder.width(PLAIN), dtype=torch.float64))
    except RuntimeError:
        return False
    return True
