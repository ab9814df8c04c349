"""Small layers that no optimizer holds, too small to show by their numbers that nothing has trained them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import Findings
from tests.whole import diagnosed

FAULT = "optimizer-params"
SCRIPT = """
import copy
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 4)
y = (x[:, 0] * x[:, 1] + x[:, 2]).unsqueeze(1)


def built():
    return nn.Sequential(
        nn.Linear(4, 10), nn.Tanh(), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1)
    )


network = built()
before = nn.Identity()
{made}
optimizer = torch.optim.Adam({held}, lr=0.03)
for epoch in range(10):
    for rows in torch.randperm(400).split(20):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(before(x[rows])), y[rows])
        loss.backward()
        optimizer.step()
        {after}
    print(epoch, loss.item())
"""
LAST = "list(network.parameters())[-2:]"
GUESSED = {
    "loaded": ("network.load_state_dict(built().state_dict())", LAST),
    "random features": ("network = nn.Sequential(nn.Linear(4, 10), nn.Tanh(), nn.Linear(10, 1))", LAST),
    "reservoir": (
        "network = nn.Sequential(nn.Linear(4, 10), nn.Tanh(), nn.Linear(10, 10), nn.Tanh(), nn.Linear(10, 1))", LAST
    ),
}  # fmt: skip
MEANT = {
    "frozen": ("network[:6].requires_grad_(False)", LAST, "pass"),
    "without gradients": (
        "before = torch.no_grad()(built()[:6])\nnetwork = nn.Linear(10, 1)", "network.parameters()", "pass"
    ),
    "a copy that follows": (
        "network, slow = nn.Linear(4, 4), built()\nfast = built()\nbefore = slow\nnetwork = nn.Linear(1, 1)",
        "[*fast.parameters(), *network.parameters()]",
        "[a.data.lerp_(b.data, 0.1) for a, b in zip(slow.parameters(), fast.parameters())]",
    ),
}  # fmt: skip


def test_several_layers_that_hold_their_initialisation_are_a_fact(findings: Findings) -> None:
    (finding,) = findings(SCRIPT.format(made="", held=LAST, after="pass"), FAULT)
    assert finding.known == "observed"


@pytest.mark.parametrize(("made", "held"), GUESSED.values(), ids=GUESSED)
def test_what_was_loaded_or_may_be_left_as_drawn_on_purpose_is_a_guess(
    made: str, held: str, findings: Findings
) -> None:
    assert [f.known for f in findings(SCRIPT.format(made=made, held=held, after="pass"), FAULT)] == ["guessed"]


@pytest.mark.parametrize(("made", "held", "after"), MEANT.values(), ids=MEANT)
def test_what_is_meant_is_not_reported(made: str, held: str, after: str, findings: Findings) -> None:
    assert findings(SCRIPT.format(made=made, held=held, after=after), FAULT) == []


@pytest.mark.net
def test_layers_that_are_left_as_drawn_are_the_cause(tmp_path: Path) -> None:
    whole = diagnosed(SCRIPT.format(made="", held=LAST, after="pass").replace("y = (", "y = 2 * ("), tmp_path / "part")
    assert FAULT in {f.fault for f in whole.diagnosis.causes}
    assert whole.diagnosis.patch is not None and "(network.parameters(), lr" in str(whole.diagnosis.patch.files)
