"""Players of a game: a term of one player's loss that only the other player's weights could change."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.micro.constant_term import ask
from unstuck.micro.step import Recorded

GAME = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
real = torch.randn(400, 2) * 0.3 + 1
maker, critic = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
first = torch.optim.Adam(maker.parameters(), lr=1e-3)
second = torch.optim.Adam(critic.parameters(), lr=1e-3)
for step in range(30):
    rows = real[torch.randint(0, 400, (40,))]
    fake = maker(torch.randn(40, 4))
    yes, no = critic(rows), critic(fake.detach())
    loss = F.mse_loss(yes, torch.ones_like(yes)) + F.mse_loss(no, torch.zeros_like(no))
    second.zero_grad()
    loss.backward()
    second.step()
    score = critic({fake})
    loss = F.mse_loss(score, torch.ones_like(score)) + 0.1 * F.mse_loss(fake.mean(0), rows.mean(0))
    first.zero_grad()
    loss.backward()
    first.step()
"""


@pytest.mark.parametrize(("fake", "count"), [("fake.detach()", 1), ("fake", 0)])
def test_a_term_that_the_player_cannot_change(record: Record, fake: str, count: int) -> None:
    found, line = ask(Recorded(record(GAME.format(fake=fake)))), GAME[: GAME.index("F.mse_loss(score")].count("\n") + 1
    assert [s.site and s.site.line for s in found.statements] == [line] * count
    assert all("depends on no weight that the step after it trains" in s.what for s in found.statements)
