"""The studies: lanes equal plain PyTorch, stories tell what they measured."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from unstuck.studies.lanes import Lanes, packed, with_one
from unstuck.studies.nets import Net, Pace, module, train

KINDS = [
    *(Net(3, 5, hidden, loss) for hidden, loss in product(("sigmoid", "relu", "none"), ("probabilities", "logits"))),
    Net(2, 4, norm=True),
    Net(2, 4, "relu", "logits", norm=True),
    Net(1, 6, optimizer="sgd"),
]
PACES = [Pace(0.01), Pace(0.01), Pace(0.1, every=30, factor=0.5)]


def normed(x: torch.Tensor) -> torch.Tensor:
    """What BatchNorm1d makes of a batch before its own weights."""
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()


@pytest.mark.parametrize("net", KINDS, ids=str)
def test_lanes_equal_plain_pytorch(net: Net) -> None:
    """100 steps in float64: every lane's weights are those of the module trained alone."""
    draw = torch.Generator().manual_seed(0)
    xs = torch.randn(len(PACES), 40, net.inputs, generator=draw, dtype=torch.float64) * 3 + 1
    ys = (torch.rand(len(PACES), 40, generator=draw, dtype=torch.float64) > 0.5).double()
    models = [module(net, seed).double() for seed in range(len(PACES))]
    lanes = Lanes(net, torch.stack([packed(m) for m in models]), PACES)
    fed = with_one(torch.stack([normed(x) for x in xs]) if net.norm else xs)
    for _ in range(100):
        lanes.step(fed, ys[:, None], torch.full((1, 1, 40), 1 / 40, dtype=torch.float64))
    for lane, (model, pace) in enumerate(zip(models, PACES, strict=True)):
        alone = packed(train(net, model, pace, [(xs[lane], ys[lane])] * 100))
        torch.testing.assert_close(lanes.weights[lane], alone, rtol=0, atol=1e-10)
