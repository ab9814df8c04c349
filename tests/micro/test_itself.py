"""Contrastive losses: whether a row is among its own wrong answers."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.micro_runs import of_earlier
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import itself
from unstuck.micro.catalogue import micro_experiments
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
kinds = torch.randn(100, 8)
model = nn.Linear(8, 8)
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
n = 16
for step in range(6):
    rows = kinds[torch.randint(0, 100, (n,))]
    one, other = (F.normalize(model(rows + 0.3 * torch.randn(n, 8)), dim=1) for _ in range(2))
    both, twin = torch.cat([one, other]), torch.arange(2 * n).roll(n)
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "loss",
    ["loss = F.cross_entropy(both @ both.T / 0.1, twin)", "loss = F.cross_entropy(-torch.cdist(both, both), twin)"],
)
def test_rows_among_their_own_wrong_answers_are_told(loss: str, record: Record) -> None:
    (told,) = itself.ask(Recorded(record(SCRIPT.format(loss=loss)))).statements
    assert "with itself" in told.what and told.site is not None and told.site.line == 15


@pytest.mark.parametrize(
    "loss",
    [
        "loss = F.cross_entropy(one @ other.T / 0.1, torch.arange(n))",
        "loss = F.cross_entropy((both @ both.T / 0.1).fill_diagonal_(float('-inf')), twin)",
        "loss = F.cross_entropy(both @ both.T - 1e4 * torch.eye(2 * n), twin)",
    ],
)
def test_masked_rows_and_two_views_are_not(loss: str, record: Record) -> None:
    assert not itself.ask(Recorded(record(SCRIPT.format(loss=loss)))).statements


@pytest.mark.parametrize("loss, told", [("twin", True), ("torch.arange(2 * n) ^ 1", False)])
def test_pairs_that_do_not_belong_together_are_told(loss: str, told: bool, record: Record) -> None:
    step = (
        "views = rows.repeat_interleave(2, 0) + 0.3 * torch.randn(2 * n, 8); z = F.normalize(model(views), dim=1); "
        f"loss = F.cross_entropy((z @ z.T).fill_diagonal_(float('-inf')), {loss})"
    )
    statements = itself.ask(Recorded(record(SCRIPT.format(loss=step)))).statements
    assert [("do not belong together" in s.what) for s in statements] == [True] * told


def test_a_loss_on_classes_compares_no_rows(record: Record) -> None:
    with pytest.raises(NotApplicable):
        itself.ask(Recorded(record(SCRIPT.format(loss="loss = F.cross_entropy(both, twin % 8)"))))


TURNED = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
angles = torch.arange(16) * torch.pi / 8
waves = torch.randn(100, 7) @ torch.stack([torch.sin(k * angles) for k in range(1, 8)])
model = nn.Sequential(nn.Conv1d(1, 32, 5, padding=2, padding_mode="circular"), nn.ReLU(), nn.AdaptiveAvgPool1d(1),
                      nn.Flatten(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)


def view(wave):
    return wave.roll(int(torch.randint(0, 16, ()))) + 0.05 * torch.randn(16)


for step in range(8):
    rows = waves[torch.randint(0, 100, (24,))]
    z = F.normalize(model(torch.stack([view(row) for row in rows for _ in range(2)])[:, None]), dim=1)
    loss = F.cross_entropy((z @ z.T).fill_diagonal_(float("-inf")), {wanted})
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
PROBE = """
features, labels = model[:4](waves[:, None]).detach(), torch.randint(2, (100,))
head = nn.Linear(32, 2)
optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
for step in range(40):
    loss = F.cross_entropy(head(features), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize("wanted, told", [("torch.arange(48).roll(24)", True), ("torch.arange(48) ^ 1", False)])
def test_views_that_only_a_network_finds_alike(wanted: str, told: bool, record: Record) -> None:
    statements = itself.ask(Recorded(record(TURNED.format(wanted=wanted)))).statements
    assert ["first outputs are nearer" in s.what for s in statements] == [True] * told


def test_the_pairs_of_an_encoder_are_looked_at_where_a_probe_is_fitted_behind_it(record: Record) -> None:
    tape = record(TURNED.format(wanted="torch.arange(48).roll(24)") + PROBE)
    (told,) = of_earlier(micro_experiments()["itself"], tape, 2.0)
    assert "do not belong together" in told.what
    assert of_earlier(micro_experiments()["by-heart"], tape, 2.0) == ()
    assert of_earlier(micro_experiments()["gathering"], tape, 2.0) == ()
