"""Weights that the script moves itself are neither frozen nor forgotten."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.signals.coverage import Coverage

FOLLOWER = """
import copy
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(200, 6)
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 4))
slow = copy.deepcopy(net).requires_grad_({trainable})
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
for rows in torch.randperm(200).split(20):
    loss = (net(x[rows]) - slow(x[rows] + 0.1)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if {moves}:
        with torch.no_grad():
            for p, q in zip(slow.parameters(), net.parameters()):
                p.mul_(0.9).add_(q, alpha=0.1)
"""


@pytest.mark.parametrize("trainable", [False, True])
def test_only_weights_that_nothing_moves_are_frozen_or_loose(trainable: bool, record: Record) -> None:
    left = Coverage.read(record(FOLLOWER.format(trainable=trainable, moves=False)))
    assert len(left.loose if trainable else left.frozen) == 4
    moved = Coverage.read(record(FOLLOWER.format(trainable=trainable, moves=True)))
    assert not (moved.loose or moved.frozen)
    assert len(moved.held) == 4
