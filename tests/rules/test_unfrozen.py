"""Weights that a script unfreezes during the run, with an optimizer that was built from the trainable ones only."""

from __future__ import annotations

from tests.recorded import Findings

FAULT = "optimizer-params"
TUNED = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 16)
y = (x[:, 0] * x[:, 1] > 0).long()


def fit(net, optimizer, unfreeze):
    for epoch in range(4):
        if epoch == 2 and unfreeze:
            for p in net[0].parameters():
                p.requires_grad_(True)
        for rows in torch.randperm(300).split(30):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()


def build():
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 2))


first = build()
fit(first, torch.optim.Adam(first.parameters(), lr=0.01), False)
net = build()
net[0].load_state_dict(first[0].state_dict())
net[0].requires_grad_(False)
optimizer = torch.optim.SGD({held}, lr=0.05)
fit(net, optimizer, {unfreeze})
"""
CHOSEN = "[p for p in net.parameters() if p.requires_grad]"


def test_unfrozen_weights_that_no_optimizer_holds_are_reported(findings: Findings) -> None:
    (finding,) = findings(TUNED.format(held=CHOSEN, unfreeze=True), FAULT)
    assert "unfrozen during the run" in finding.message
    assert finding.known == "observed"
    assert finding.site is not None
    assert finding.site.line == TUNED[: TUNED.index("optimizer = torch")].count("\n") + 1


def test_unfrozen_weights_that_the_optimizer_holds_are_not_reported(findings: Findings) -> None:
    assert findings(TUNED.format(held="net.parameters()", unfreeze=True), FAULT) == []


def test_weights_that_stay_frozen_are_not_reported(findings: Findings) -> None:
    assert findings(TUNED.format(held=CHOSEN, unfreeze=False), FAULT) == []
