"""Micro-experiments name the line that a person has to change, where the text shows it."""

from __future__ import annotations

from pathlib import Path

from tests.recorded import tape_of
from unstuck.micro import columns, mirrored, row_weights
from unstuck.micro.step import Recorded

FLIPS = """
import random
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(0)
random.seed(0)


def turned(part):
    return part.flip(-1) if random.random() < 0.5 else part


class Pairs(Dataset):
    def __init__(self):
        self.masks = torch.zeros(320, 1, 12, 12)
        for i, (a, b) in enumerate(torch.randint(0, 7, (320, 2)).tolist()):
            self.masks[i, :, a : a + 6, b : b + 4] = 1.0
        self.pictures = self.masks + 0.3 * torch.randn(320, 1, 12, 12)

    def __len__(self):
        return 320

    def __getitem__(self, i):
        picture, mask = self.pictures[i], self.masks[i]
        picture = turned(picture)
        mask = turned(mask)
        return picture, mask


model = nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 1, 3, padding=1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for x, y in DataLoader(Pairs(), 32):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
"""


def line(text: str, site: object) -> str:
    return text.splitlines()[site.line - 1].strip()  # type: ignore[attr-defined]


def test_flips_that_are_drawn_apart_are_told_where_the_second_is_drawn(tmp_path: Path) -> None:
    (said,) = mirrored.ask(Recorded(tape_of(FLIPS, tmp_path))).statements
    assert line(FLIPS, said.site) == "mask = turned(mask)"


def test_one_module_for_several_tasks_is_told_where_it_is_made(tmp_path: Path) -> None:
    (said,) = columns.ask(Recorded(tape_of(columns.FIRES, tmp_path))).statements
    assert line(columns.FIRES, said.site) == "self.heads = nn.ModuleList([nn.Linear(32, 1)] * 3)"


def test_a_mean_before_the_weights_of_rows_is_told_where_they_meet(tmp_path: Path) -> None:
    (said,) = row_weights.ask(Recorded(tape_of(row_weights.FIRES, tmp_path))).statements
    assert line(row_weights.FIRES, said.site) == "loss = -(log_probs.mean() * reward).sum()"
