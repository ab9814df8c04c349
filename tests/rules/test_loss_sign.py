"""A loss is maximised also where several optimizers share the step; players that step in turn may maximise."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x, y = torch.randn(200, 5), torch.randint(3, (200,))
encoder, decoder = nn.Linear(5, 8), nn.Linear(8, 3)
one = torch.optim.SGD(encoder.parameters(), lr=0.01)
two = torch.optim.SGD(decoder.parameters(), lr=0.01)
for step in range(12):
    rows = torch.randint(0, 200, (20,))
    loss = nn.functional.cross_entropy(decoder(torch.relu(encoder(x[rows]))), y[rows])
    one.zero_grad(), two.zero_grad()
    {backward}
    {step}
"""


@pytest.mark.parametrize(
    ("backward", "step", "found"),
    [
        ("(-loss).backward()", "one.step(), two.step()", ["flip-sign"]),
        ("loss.backward()", "one.step(), two.step()", []),
        ("(-loss).backward()", "(one if step % 2 else two).step()", []),
    ],
    ids=["together", "minimised", "in turn"],
)
def test_optimizers_that_share_the_step(backward: str, step: str, found: list[str], findings: Findings) -> None:
    told = findings(SCRIPT.format(backward=backward, step=step), "loss-sign")
    assert [r.name for f in told for r in f.remedies] == found
