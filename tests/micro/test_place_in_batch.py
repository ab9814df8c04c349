"""Whether a row's place in its batch changes the answer: sequences that the loss takes step by step, and parts of a
batch that are made by other calls."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import place_in_batch
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
words = torch.randint(0, 9, (240, 7))
places = torch.randn(50, 1, 16)
table, inner, head = nn.Embedding(9, 16), nn.Linear(16, 16), nn.Linear(16, 9)
optimizer = torch.optim.Adam([*table.parameters(), *inner.parameters(), *head.parameters()], lr=0.01)
for rows in torch.randperm(240).split(24):
    hidden = table(words[rows])
    out = head(torch.tanh(inner(hidden + {added})))
    loss = nn.functional.cross_entropy(out.reshape(-1, 9), words[rows].flip(1).reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
GAME = """
import torch
from torch import nn

torch.manual_seed(0)
makes, judges = nn.Linear(4, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(judges.parameters(), lr=0.01)
for step in range(8):
    with torch.no_grad():
        fake = makes(torch.randn(20, 4))
    both = torch.cat([3 + torch.randn(20, 2), fake])
    both = both + 0.1 * torch.randn_like(both)
    asked = torch.cat([torch.full((20, 1), 0.9), torch.zeros(20, 1)])
    loss = nn.functional.binary_cross_entropy_with_logits(judges(both), asked)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def test_a_place_in_the_batch_is_found_where_the_loss_takes_steps_for_rows(record: Record) -> None:
    (told,) = place_in_batch.ask(Recorded(record(SCRIPT.format(added="places[: len(hidden)]")))).statements
    assert told.site is not None and told.site.line == 12


def test_a_place_in_the_sequence_is_not_told(record: Record) -> None:
    reading = place_in_batch.ask(Recorded(record(SCRIPT.format(added="places[: hidden.shape[1], 0]"))))
    assert not reading.statements


def test_nothing_is_said_of_a_batch_of_two_halves(record: Record) -> None:
    with pytest.raises(NotApplicable):
        place_in_batch.ask(Recorded(record(GAME)))
