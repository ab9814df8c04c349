"""Printed scores of ranks below what random answers reach."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import backwards
from unstuck.micro.step import Recorded

SCRIPT = """
import torch

torch.manual_seed(0)
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step, score in enumerate({scores}):
    optimizer.zero_grad()
    model(torch.ones(4, 2)).mean().backward()
    optimizer.step()
    print("{words}", score)
"""


@pytest.mark.parametrize("words", ["val AUC", "RESULT c_index", "Concordance:", "c-index"])
def test_a_score_that_stays_below_chance_is_told_at_its_line(words: str, record: Record) -> None:
    text = SCRIPT.format(scores=[0.5, 0.3, 0.27, 0.259], words=words)
    (told,) = backwards.ask(Recorded(record(text))).statements
    assert told.site is not None and told.site.line == 11 and "0.741 if turned" in told.what


@pytest.mark.parametrize("scores", [[0.3, 0.3, 0.6], [0.3, 0.5, 0.3], [0.3, 0.3], [0.45, 0.44, 0.43]])
def test_scores_near_chance_or_above_are_healthy(scores: list[float], record: Record) -> None:
    text = SCRIPT.format(scores=scores, words="auc")
    assert backwards.ask(Recorded(record(text))).statements == ()


@pytest.mark.parametrize("words", ["accuracy", "auc loss", "pr auc", "auc drop", "class c index"])
def test_other_scores_have_another_chance(words: str, record: Record) -> None:
    with pytest.raises(NotApplicable, match="no score of ranks"):
        backwards.ask(Recorded(record(SCRIPT.format(scores=[0.1, 0.1, 0.1], words=words))))
