"""Steps that never happen where the text cannot tell: the optimizer is handed to something else."""

from __future__ import annotations

from tests.recorded import Findings

SCRIPT = """
import torch
from torch import nn
prepare = lambda *given: given
torch.manual_seed(0)
x = torch.randn(40, 4)
net = nn.Linear(4, 1)
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
net, optimizer = prepare(net, optimizer)
for epoch in range(12):
    loss = nn.functional.mse_loss(net(x), x[:, :1])
    optimizer.zero_grad()
    loss.backward()
    STEP
"""


def test_an_optimizer_that_never_steps_is_seen_on_the_tape(findings: Findings) -> None:
    (found,) = findings(SCRIPT.replace("STEP", "pass"), "no-step")
    assert found.site is not None
    assert not findings(SCRIPT.replace("STEP", "optimizer.step()"), "no-step")


def test_gradients_without_an_optimizer_are_no_training(findings: Findings) -> None:
    script = SCRIPT.replace("optimizer = torch.optim.Adam(net.parameters(), lr=0.01)", "optimizer = net")
    assert not findings(script.replace("STEP", "pass"), "no-step")
