"""Padded and masked labels, schedules that overrun or never begin, and dropout without the mode."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import edited, run
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.model import Finding, NotApplicable
from unstuck.rules.catalogue import catalogue
from unstuck.signals.class_recall import hit_rates
from unstuck.signals.learning import Learning
from unstuck.signals.losses import Losses
from unstuck.signals.recomputed import Recomputed
from unstuck.tape.model import Tape

TAGGER = """
import torch
from torch import nn

torch.manual_seed(0)
lengths = torch.randint(2, 6, (400,))
tokens = torch.randint(1, 30, (400, 20)) * (torch.arange(20) < lengths[:, None])
tags = torch.where(tokens > 0, 1 + tokens % 3, 0)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.head = nn.Embedding(30, 8), nn.Linear(8, 4)

    def forward(self, tokens):
        return self.head(torch.tanh(self.words(tokens)))


model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr={rate})
criterion = nn.CrossEntropyLoss({ignored})
for epoch in range(8):
    for rows in torch.randperm(320).split(40):
        optimizer.zero_grad()
        loss = criterion(model(tokens[rows]).reshape(-1, 4), tags[rows].reshape(-1))
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        guess, real = model(tokens[320:]).argmax(-1), tags[320:] > 0
        accuracy = (guess == tags[320:])[real].float().mean().item()
    print(f"accuracy {{accuracy:.4f}}")
"""
PADDED = TAGGER.format(rate=0.002, ignored="")


def _found(tape: Tape, fault: str) -> list[Finding]:
    found, _ = examine(Readings(tape), {fault: catalogue()[fault]})
    return found


def test_loss_mostly_on_padding(tmp_path: Path) -> None:
    tape = tape_of(PADDED, tmp_path)
    (finding,) = _found(tape, "padding-unmasked")
    assert finding.effect.word == "proven"
    assert _found(tape, "class-imbalance") == []
    new = edited(finding.remedies[0], PADDED)
    assert "nn.CrossEntropyLoss(ignore_index=0)" in new
    assert _found(tape_of(new, tmp_path), "padding-unmasked") == []


def test_padding_in_the_loss_of_a_network_that_learns_is_a_hint(tmp_path: Path) -> None:
    (finding,) = _found(tape_of(TAGGER.format(rate=0.05, ignored=""), tmp_path), "padding-unmasked")
    assert (finding.severity, finding.effect.word) == ("hint", "undecided")


def test_ignored_labels_are_not_scored(tmp_path: Path) -> None:
    learnt = Learning.read(tape_of(TAGGER.format(rate=0.05, ignored="ignore_index=0"), tmp_path))
    assert learnt.final > 0.9


MASKED = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Embedding(10, 32), nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for step in range(100):
    tokens = torch.randint(0, 10, (64, 6))
    targets = (tokens + 1) % 10
    mask = torch.arange(6).expand(64, 6) >= 3
    targets[~mask] = {label}
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
EACH = "F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten(), reduction='none')"
LEAVING_OUT = {
    "-100 by default": ("-100", "F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())"),
    "another negative label": ("-1", "F.cross_entropy(model(tokens).transpose(1, 2), targets, ignore_index=-1)"),
    "a label of its own": ("255", "F.nll_loss(model(tokens).log_softmax(2).mT, targets, ignore_index=255)"),
    "a mask multiplied in": ("7", f"({EACH} * mask.flatten().float()).sum() / mask.sum()"),
    "a mask selected with": ("7", f"{EACH}[mask.flatten()].mean()"),
}  # fmt: skip


@pytest.mark.parametrize("how", LEAVING_OUT)
def test_only_labels_that_the_loss_counts_are_scored(how: str, tmp_path: Path) -> None:
    label, loss = LEAVING_OUT[how]
    tape = tape_of(MASKED.format(label=label, loss=loss), tmp_path)
    learnt = Learning.read(tape)
    assert learnt.yardstick.classes == 10
    assert learnt.yardstick.constant == pytest.approx(0.1, abs=0.03)
    assert learnt.final > 0.95
    assert hit_rates(Losses.read(tape)).min() > 0.95


def test_masked_numbers_are_not_scored(tmp_path: Path) -> None:
    loss = "((model(tokens)[:, 0] - seen) ** 2 * (seen < 50)).sum() / (seen < 50).sum()"
    text = MASKED.format(label="0", loss=loss).replace(
        "    loss =", "    seen = F.one_hot(tokens[:, 0], 10) * 3.0\n    seen[:, :4] = 99\n    loss ="
    )
    learnt = Learning.read(tape_of(text, tmp_path))
    assert learnt.yardstick.mean.max() < 1
    assert learnt.final > 0.8


@pytest.mark.parametrize("ignored", ["", "ignore_index=0"])
def test_masked_accuracy_is_not_recomputed(ignored: str, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable):
        Recomputed.read(tape_of(TAGGER.format(rate=0.05, ignored=ignored), tmp_path))


SCHEDULED = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 5)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
schedule = torch.optim.lr_scheduler.{schedule}
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        schedule.step()
    print(epoch, loss.item())
"""


def test_one_cycle_schedule_with_too_few_steps(tmp_path: Path) -> None:
    text = SCHEDULED.format(schedule="OneCycleLR(optimizer, max_lr=0.3, total_steps=6)")
    (finding,) = _found(tape_of(text, tmp_path), "scheduler-misuse")
    assert "Tried to step 7 times" in finding.effect.because
    run(edited(finding.remedies[0], text))


def test_one_cycle_schedule_of_another_length_has_no_remedy(tmp_path: Path) -> None:
    text = SCHEDULED.format(schedule="OneCycleLR(optimizer, max_lr=0.3, total_steps=50)")
    (finding,) = _found(tape_of(text, tmp_path), "scheduler-misuse")
    assert finding.effect.word == "proven"
    assert finding.remedies == ()


def test_warm_up_longer_than_the_run(tmp_path: Path) -> None:
    text = SCHEDULED.format(schedule="LambdaLR(optimizer, lambda step: (step + 1) / 9000)")
    (finding,) = _found(tape_of(text, tmp_path), "scheduler-misuse")
    (remedy,) = finding.remedies
    assert remedy.factor == pytest.approx(9000)
    new = edited(remedy, text)
    assert "lr_scheduler" not in new
    after = tape_of(new, tmp_path)
    assert {u.rates for u in after.updates} == {(0.1,)}


def test_short_warm_up_is_not_reported(tmp_path: Path) -> None:
    text = SCHEDULED.format(schedule="LinearLR(optimizer, start_factor=0.1, total_iters=20)")
    assert _found(tape_of(text, tmp_path), "scheduler-misuse") == []


def test_warm_up_of_a_recording_cut_short_is_not_reported(tmp_path: Path) -> None:
    text = SCHEDULED.format(schedule="LambdaLR(optimizer, lambda step: min(1, (step + 1) / 900))")
    finding = _found(tape_of(text, tmp_path, steps=40), "scheduler-misuse")
    assert not any(r.factor != 1 for f in finding for r in f.remedies)


DROPPING = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 5)
y = (x[:, 0] > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(5, 32), nn.Linear(32, 2)

    def forward(self, x):
        return self.b(F.dropout(F.relu(self.a(x)), 0.5{told}))


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(4):
    model.train()
    for rows in torch.randperm(240).split(40):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        print("accuracy", (model(x[240:]).argmax(1) == y[240:]).float().mean().item())
"""


def test_functional_dropout_without_training_argument(tmp_path: Path) -> None:
    text = DROPPING.format(told="")
    (finding,) = _found(tape_of(text, tmp_path), "mode-error")
    assert finding.effect.word == "proven"
    new = edited(finding.remedies[0], text)
    assert "0.5, training=self.training)" in new
    assert _found(tape_of(new, tmp_path), "mode-error") == []


@pytest.mark.parametrize("told", [", training=self.training", ", self.training", ", training=True"])
def test_functional_dropout_with_training_argument_is_not_reported(told: str, tmp_path: Path) -> None:
    assert _found(tape_of(DROPPING.format(told=told), tmp_path), "mode-error") == []
