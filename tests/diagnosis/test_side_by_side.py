"""Two networks that are trained side by side and have nothing to do with each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.whole import diagnosed

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 6)
y = x[:, :3].tanh().sum(1, keepdim=True)
networks = [nn.Sequential(nn.Linear(6, 24), kind(), nn.Linear(24, 1)) for kind in (nn.Tanh, nn.ReLU)]
optimizers = [torch.optim.Adam(network.parameters(), lr={rate}) for network in networks]
for epoch in range(8):
    for rows in torch.randperm(600).split(30):
        for network, optimizer in zip(networks, optimizers):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
    print(epoch, loss.item())
"""


@pytest.mark.net
def test_networks_side_by_side_are_judged_and_mended(tmp_path: Path) -> None:
    whole = diagnosed(SCRIPT.format(rate=1e-6), tmp_path / "slow")
    assert not whole.diagnosis.unjudged
    assert [f.fault for f in whole.diagnosis.causes] == ["lr-too-low"]
    assert (site := whole.diagnosis.causes[0].site) is not None and site.line == 9


@pytest.mark.net
def test_healthy_networks_side_by_side_learn_well(tmp_path: Path) -> None:
    whole = diagnosed(SCRIPT.format(rate=0.01), tmp_path / "fine")
    assert whole.diagnosis.state == "learns-well"
    assert not whole.diagnosis.causes and not whole.diagnosis.suspects
