"""Rows that are read again an epoch later: with their own label, or with another's."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.repeats import Repeats

SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F
torch.manual_seed(5)
x = torch.randn(200, 5)
y = {truth}
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, {outputs}))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(3):
    for rows in torch.randperm(200).split(20):
        target = y[rows]
        optimizer.zero_grad()
        loss = F.{loss}
        loss.backward()
        optimizer.step()
"""
CLASSES = {"truth": "(x[:, :3] + 0.5 * torch.randn(200, 3)).argmax(1)", "outputs": 3}
NUMBERS = {"truth": "x[:, :1] + 0.5 * torch.randn(200, 1)", "outputs": 1}
MIXED = "target[torch.randperm(20)]"


@pytest.mark.parametrize(
    ("task", "loss", "changes"),
    [
        (CLASSES, "cross_entropy(net(x[rows]), target)", False),
        (CLASSES, f"cross_entropy(net(x[rows]), {MIXED})", True),
        (NUMBERS, "mse_loss(net(x[rows]), target)", False),
        (NUMBERS, f"mse_loss(net(x[rows]), {MIXED})", True),
    ],
)
def test_labels_drawn_anew_are_told_from_noisy_ones(
    task: dict[str, object], loss: str, changes: bool, record: Record, findings: Findings
) -> None:
    tape = record(SCRIPT.format(loss=loss, **task))
    repeats = Repeats.read(tape)
    assert repeats.again == 400
    assert (abs(repeats.deviations) < 3) is changes
    said = [f.known for f in findings(tape, "label-misaligned")]
    assert said == (["observed"] if changes else [])


def test_nearly_one_class_says_nothing(record: Record) -> None:
    task = {**CLASSES, "truth": "(torch.arange(200) < 2).long()"}
    with pytest.raises(NotApplicable):
        Repeats.read(record(SCRIPT.format(loss="cross_entropy(net(x[rows]), target)", **task)))


def test_one_epoch_says_nothing(record: Record) -> None:
    script = SCRIPT.format(loss="cross_entropy(net(x[rows]), target)", **CLASSES)
    with pytest.raises(NotApplicable):
        Repeats.read(record(script.replace("range(3)", "range(1)")))


FEW = """
import torch
from torch import nn
torch.manual_seed(5)
x = torch.randn({few}, 5).repeat({copies}, 1)
y = (torch.arange({few}) % 2).repeat({copies})
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(60):
    for rows in torch.randperm(len(x)).split({size}):
        labels = {labels}
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x[rows]), labels)
        loss.backward()
        optimizer.step()
"""
ANEW, ONCE = "y[torch.randperm(len(y))][rows]", "y[rows]"


@pytest.mark.parametrize(
    ("size", "few", "copies", "labels", "faults"),
    [
        (6, 6, 1, ANEW, {"label-misaligned"}),
        (2, 6, 1, ANEW, {"label-misaligned"}),
        (1, 10, 1, ANEW, {"label-misaligned"}),
        (6, 6, 1, ONCE, set()),
        (6, 6, 20, ANEW, {"input-degenerate"}),
        (6, 3, 20, ANEW, {"input-degenerate"}),
    ],
)
def test_few_rows_that_come_back_are_told_from_copies_of_them(
    size: int, few: int, copies: int, labels: str, faults: set[str], findings: Findings
) -> None:
    text = FEW.format(size=size, few=few, copies=copies, labels=labels)
    found = findings(text, "label-misaligned", "input-degenerate")
    assert {f.fault for f in found if f.known == "observed"} == faults


def test_batches_of_copies_of_one_row_say_nothing_of_its_labels(record: Record) -> None:
    loss = "cross_entropy(net(x[rows[-1:]].expand(20, -1)), target)"
    with pytest.raises(NotApplicable, match="not told apart"):
        Repeats.read(record(SCRIPT.format(loss=loss, **CLASSES)))
