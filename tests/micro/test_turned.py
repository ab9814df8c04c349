"""Targets in the order of another axis than the answers."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import turned
from unstuck.micro.step import Recorded

TAGS = """
import torch
from torch import nn

torch.manual_seed(0)
words = torch.randint(0, 9, (600, 7))
tags = words % 3
table, head = nn.Embedding(9, 16), nn.Linear(16, 3)
optimizer = torch.optim.Adam([*table.parameters(), *head.parameters()], lr=0.02)
for epoch in range(4):
    for rows in torch.randperm(600).split(20):
        scores = head(table(words[rows]))
        loss = nn.functional.cross_entropy({scores}.flatten(0, 1), {tags}.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("scores", "tags"), [("scores", "tags[rows].T"), ("scores.transpose(0, 1)", "tags[rows]")])
def test_targets_that_are_flattened_the_other_way_are_told(scores: str, tags: str, record: Record) -> None:
    reading = turned.ask(Recorded(record(TAGS.format(scores=scores, tags=tags)), seconds=60.0))
    (told,) = reading.statements
    assert reading.other > 0.8 and sorted(reading.axes) == [7, 20] and "transposed" in told.what


def test_a_run_that_learns_is_not_asked(record: Record) -> None:
    with pytest.raises(NotApplicable, match="learns"):
        turned.ask(Recorded(record(TAGS.format(scores="scores", tags="tags[rows]"))))


def test_noise_is_not_learnt_in_any_order(record: Record) -> None:
    text = TAGS.format(scores="scores", tags="torch.randint(0, 3, (20, 7))")
    assert turned.ask(Recorded(record(text), seconds=60.0)).statements == ()
