"""A score that falls all along while the loss falls is told; one that rises, or falls late, is not."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import against
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
x = torch.randn(40, 3)
for epoch, score in enumerate({scores}):
    for _ in range(3):
        loss = model(x).square().mean() + 1
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"epoch {{epoch}} {words} {{score}}")
"""
FALLS = [0.72, 0.68, 0.64, 0.65, 0.62, 0.61, 0.6, 0.59]


def asked(record: Record, scores: list[float], words: str = "val auc", rate: float = 0.02) -> against.Against:
    return against.ask(Recorded(record(SCRIPT.format(scores=scores, words=words, rate=rate))))


def test_a_score_that_falls_with_the_loss_is_told_at_the_loss(record: Record) -> None:
    (told,) = asked(record, FALLS).statements
    assert "val auc falls from 0.72 to 0.59 while the training loss falls too" in told.what
    assert told.site is not None and told.site.line == 11
    assert asked(record, [100 * n for n in FALLS], "accuracy").statements


@pytest.mark.parametrize(
    ("scores", "rate"),
    [
        (FALLS[::-1], 0.02),
        ([0.5, 0.6, 0.7, 0.72, 0.7, 0.66, 0.62, 0.6], 0.02),
        ([0.62, 0.61, 0.6, 0.6, 0.59, 0.59, 0.58, 0.58], 0.02),
        (FALLS, 3.0),
    ],
    ids=["rises", "falls late", "falls little", "the loss rises"],
)
def test_other_courses_are_not(record: Record, scores: list[float], rate: float) -> None:
    assert not asked(record, scores, rate=rate).statements


@pytest.mark.parametrize("words", ["train auc", "val loss", "best auc of shuffled", "step"])
def test_other_numbers_are_not_asked(record: Record, words: str) -> None:
    with pytest.raises(NotApplicable):
        asked(record, FALLS, words)


def test_five_lines_are_too_few(record: Record) -> None:
    with pytest.raises(NotApplicable, match="6 times"):
        asked(record, FALLS[:5])
