"""Class ids that were averaged on their way to the loss."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro import averaged
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
masks = torch.zeros(40, 24, 24, dtype=torch.long)
for mask in masks:
    row, column = torch.randint(0, 14, (2,)).tolist()
    mask[row : row + 8, column : column + 8] = torch.randint(1, 4, (1,)).item()


class Pairs(Dataset):
    def __len__(self):
        return len(masks)

    def __getitem__(self, i):
        picture = masks[i].float() + 0.3 * torch.randn(24, 24)
        return F.avg_pool2d(picture[None], 2), self.small(masks[i])

    def small(self, mask):
        {small}


model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for pictures, targets in DataLoader(Pairs(), 8, shuffle=True):
    loss = F.cross_entropy(model(pictures), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
RESIZED = "F.interpolate(mask[None, None].float(), size=(12, 12), mode='bilinear')[0, 0]"


@pytest.mark.parametrize(
    "small",
    [f"return {RESIZED}.long()", f"return {RESIZED}.round().to(torch.int64)",
     "return F.avg_pool2d(mask[None].float(), 2)[0].long()"],
)  # fmt: skip
def test_averaged_ids_are_told_at_the_line_of_the_call(small: str, record: Record) -> None:
    (told,) = averaged.ask(Recorded(record(SCRIPT.format(small=small)))).statements
    assert told.site is not None and told.site.line == 23 and "means of class ids (0 to" in told.what


@pytest.mark.parametrize(
    "small",
    [
        "return F.interpolate(mask[None, None].float(), size=(12, 12), mode='nearest')[0, 0].long()",
        "return mask[::2, ::2]",
        "return F.max_pool2d(mask[None].float(), 2)[0].long()",
        "return F.interpolate(F.one_hot(mask, 4).permute(2, 0, 1)[None].float(), size=(12, 12), mode='bilinear')"
        "[0].argmax(0)",
        f"return ({RESIZED} > 0.5).long()",
    ],
)
def test_ids_that_stay_ids_are_not(small: str, record: Record) -> None:
    assert not averaged.ask(Recorded(record(SCRIPT.format(small=small)))).statements
