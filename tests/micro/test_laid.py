"""Targets of places that lie elsewhere than their pictures."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import laid
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
masks = torch.zeros(320, 16, 16).long()
for i, (a, b) in enumerate(torch.randint(0, 9, (320, 2)).tolist()):
    masks[i, a : a + 6, b : b + 4] = 1 + i % 2
pictures = torch.stack([masks.float(), (masks == 2).float()], 1) + 0.5 * torch.randn(320, 2, 16, 16)
wanted = {wanted}
model = nn.Conv2d(2, 3, 3, padding=1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(2):
    for rows in torch.randperm(320).split(32):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(pictures[rows]), wanted[rows])
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("wanted", "position"), [
    ("masks.flip(-2)", "mirrored top to bottom"),
    ("masks.transpose(1, 2)", "with rows and columns exchanged"),
    ("masks.rot90(-1, (1, 2))", "turned by a quarter"),
])  # fmt: skip
def test_targets_that_all_lie_elsewhere_are_told(wanted: str, position: str, record: Record) -> None:
    reading = laid.ask(Recorded(record(SCRIPT.format(wanted=wanted))))
    (told,) = reading.statements
    assert reading.best == position and position in told.what


def test_the_line_that_writes_the_places_is_told(record: Record) -> None:
    (told,) = laid.ask(Recorded(record(laid.FIRES))).statements
    assert told.site is not None and "] = 1.0" in laid.FIRES.splitlines()[told.site.line - 1]


@pytest.mark.parametrize("wanted", ["masks", "torch.randint(0, 3, masks.shape)", "(masks * 0 + torch.arange(16) // 6)"])
def test_targets_in_their_places_and_targets_of_no_picture_are_healthy(wanted: str, record: Record) -> None:
    assert laid.ask(Recorded(record(SCRIPT.format(wanted=wanted)))).statements == ()


def test_mirroring_that_is_learnt_is_the_task(record: Record) -> None:
    text = SCRIPT.format(wanted="masks").replace("range(2)", "range(12)")
    with pytest.raises(NotApplicable, match="learns"):
        laid.ask(Recorded(record(text)))


def test_without_pictures_nothing_is_said(record: Record) -> None:
    text = SCRIPT.format(wanted="masks").replace("pictures[rows]", "pictures[rows].mean((2, 3))[:, :, None, None]")
    with pytest.raises(NotApplicable, match="no picture"):
        laid.ask(Recorded(record(text.replace("wanted[rows]", "wanted[rows, :1, :1]"))))
