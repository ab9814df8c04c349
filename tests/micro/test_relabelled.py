"""Reshapes of data that exchange the lengths of two axes are told; those that split or join axes are not."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import relabelled
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(6, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
series = torch.arange(40 * 5 * 6.0).reshape(40, 5, 6) / 1200
for step in range(4):
    x = {made}
    loss = model(x.reshape(-1, 6)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
EXCHANGED = ["series.view(5, 40, 6)", "series[:, :, None].reshape(40, 6, 5).mT", "series.mT.reshape(40, 5, 6)"]
KEPT = [
    "series.permute(1, 0, 2)",
    "series.reshape(200, 6)",
    "series.view(8, 5, 5, 6)",
    "series[:, 0].view(40, 1, 6)",
    "series[:6, 0].view(6, 6)",
    "torch.ones(40, 6).view(6, 40).T",
]


@pytest.mark.parametrize("made", EXCHANGED)
def test_exchanged_lengths_are_told(made: str, record: Record) -> None:
    (told,) = relabelled.ask(Recorded(record(SCRIPT.format(made=made)))).statements
    assert "use permute()" in told.what and told.site is not None and told.site.line == 10


@pytest.mark.parametrize("made", KEPT)
def test_axes_that_are_moved_split_or_joined_are_not(made: str, record: Record) -> None:
    assert not relabelled.ask(Recorded(record(SCRIPT.format(made=made)))).statements
