"""Targets of one class alone."""

from __future__ import annotations

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.micro import one_target
from unstuck.micro.step import Recorded

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 6)
y = {targets}
model = nn.Linear(6, {classes})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    for rows in torch.randperm(300).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""
SOME = "torch.where(torch.rand(300) < 0.5, {}, -100)"


def test_the_input_in_the_same_places_is_looked_at(record: Record) -> None:
    reading = one_target.ask(Recorded(record(one_target.FIRES)))
    assert reading.only == 12
    (told,) = reading.statements
    assert "the input holds 12 in the same places" in told.what and told.fault == "target-construction"


@pytest.mark.parametrize("given", ["", "torch.where(y[rows] == 0, x[rows].T, -x[rows].T).T"])
def test_what_the_input_does_not_hold_as_ids_is_healthy(given: str, record: Record) -> None:
    text = SCRIPT.format(targets=SOME.format("2"), classes=4).replace("model(x[rows])", f"model({given or 'x[rows]'})")
    assert one_target.ask(Recorded(record(text))).statements == ()


def test_several_classes_are_healthy(record: Record) -> None:
    text = SCRIPT.format(targets=SOME.format("torch.randint(0, 4, (300,))"), classes=4)
    assert one_target.ask(Recorded(record(text))).statements == ()


@pytest.mark.parametrize(
    ("targets", "classes"), [("torch.zeros(300).long()", 4), (SOME.format("1"), 2)], ids=["a contrast", "two classes"]
)
def test_pairs_and_rare_classes_are_not_judged(targets: str, classes: int, record: Record) -> None:
    with pytest.raises(NotApplicable, match="3 classes"):
        one_target.ask(Recorded(record(SCRIPT.format(targets=targets, classes=classes))))
