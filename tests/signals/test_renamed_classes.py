"""Classes numbered otherwise in the evaluation than in the training."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.model import NotApplicable
from unstuck.rules.label_misaligned import check
from unstuck.signals.learning import Learning
from unstuck.signals.renamed_classes import RenamedClasses

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
centres = 3 * torch.randn({classes}, 8)
y = torch.arange(480) % {classes}
x = centres[y] + {noise} * torch.randn(480, 8)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, {classes}))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(6):
    for rows in torch.randperm(360).split(30):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    right = (model({rows}).argmax(1) == {labels}).sum().item()
print(right / 120)
"""
LAST = "x[360:]"
SICK = {
    "turned round": (4, 0.5, LAST, "3 - y[360:]"),
    "rolled": (5, 0.5, LAST, "(y[360:] + 1) % 5"),
    "two classes": (2, 0.5, LAST, "1 - y[360:]"),
    "one too many": (6, 0.7, LAST, "(y[360:] + 1) % 6"),
    "most of them": (4, 0.5, LAST, "torch.tensor([0, 2, 3, 1])[y[360:]]"),
    "names in another order": (8, 0.5, LAST, "torch.tensor([5, 2, 7, 0, 6, 1, 4, 3])[y[360:]]"),
}
HEALTHY = {
    "right": (4, 0.5, LAST, "y[360:]"),
    "hard": (4, 4.0, LAST, "y[360:]"),
    "labels by chance": (4, 0.5, LAST, "torch.randint(0, 4, (120,))"),
    "one class only": (4, 0.5, LAST, "torch.zeros(120, dtype=torch.long)"),
    "other inputs": (4, 0.5, "torch.randn(120, 8)", "y[360:]"),
    "rows trained on": (4, 0.5, "x[:120]", "3 - y[:120]"),
}


def fires(case: tuple[int, float, str, str], folder: Path) -> bool:
    classes, noise, rows, labels = case
    tape = tape_of(SCRIPT.format(classes=classes, noise=noise, rows=rows, labels=labels), folder)
    try:
        found = RenamedClasses.read(tape)
    except NotApplicable:
        return False
    findings = check(None, None, found, None, None, Learning.read(tape))
    return any(f.aside and f.effect.word == "proven" for f in findings)


@pytest.mark.parametrize("case", SICK)
def test_classes_under_other_names_are_seen(case: str, tmp_path: Path) -> None:
    assert fires(SICK[case], tmp_path)


@pytest.mark.parametrize("case", HEALTHY)
def test_other_evaluations_are_left_alone(case: str, tmp_path: Path) -> None:
    assert not fires(HEALTHY[case], tmp_path)
