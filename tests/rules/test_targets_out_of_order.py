"""Targets that a step puts into a random order of rows of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import Findings
from tests.scripts import edited
from tests.whole import diagnosed

FAULT = "label-misaligned"
SCRIPT = """
import numpy as np
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = (x[:, :3] + x[:, 3:]).argmax(1)
criterion = nn.CrossEntropyLoss()
model = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(400).split(40):
        inputs, targets = x[rows], y[rows]
        optimizer.zero_grad()
        {step}
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""
PLAIN = "loss = criterion(model(inputs), targets)"
APART = {
    "in the loss": ("loss = criterion(model(inputs), targets[torch.randperm(len(targets))])", PLAIN),
    "before the forward": (
        f"targets = targets[torch.randperm(40)].long(); {PLAIN}", f"targets = targets.long(); {PLAIN}"
    ),
    "by index_select": ("loss = criterion(model(inputs), targets.index_select(0, torch.randperm(40)))", PLAIN),
    "by torch": ("loss = criterion(model(inputs), torch.index_select(targets, 0, torch.randperm(40)))", PLAIN),
    "by a name": (
        "order = torch.randperm(40).to('cpu'); loss = criterion(model(inputs), targets[order])",
        f"order = torch.randperm(40).to('cpu'); {PLAIN}",
    ),
}  # fmt: skip
TOGETHER = {
    "both": "order = torch.randperm(40); loss = criterion(model(inputs[order]), targets[order])",
    "predictions": "order = torch.randperm(40); loss = criterion(model(inputs)[order], targets[order])",
    "by numpy": "order = torch.randperm(40); part = torch.from_numpy(inputs.numpy()[order.numpy()]); "
    "loss = criterion(model(part), targets[order])",
    "one by one": "order = torch.randperm(40); part = torch.stack([inputs[i] for i in order]); "
    "loss = criterion(model(part), targets[order])",
    "mixup": "order = torch.randperm(40); out = model(0.7 * inputs + 0.3 * inputs[order]); "
    "loss = 0.7 * criterion(out, targets) + 0.3 * criterion(out, targets[order])",
    "negatives": "out = model(inputs); "
    "loss = criterion(out, targets) - 0.01 * criterion(out, targets[torch.randperm(40)])",
    "no labels": "loss = criterion(model(inputs + 0.1 * inputs[torch.randperm(40)]), targets)",
    "now and then": "loss = criterion(model(inputs), targets[torch.randperm(40)] if epoch == 3 else targets)",
}


@pytest.mark.parametrize(("step", "plain"), APART.values(), ids=APART)
def test_targets_in_an_order_of_their_own_are_a_fact(step: str, plain: str, findings: Findings) -> None:
    text = SCRIPT.format(step=step)
    (finding,) = findings(text, FAULT)
    assert finding.known == "observed" and finding.site is not None and finding.site.line == 16
    assert [edited(remedy, text) for remedy in finding.remedies] == [SCRIPT.format(step=plain)]


@pytest.mark.parametrize("step", TOGETHER.values(), ids=TOGETHER)
def test_targets_that_are_moved_with_their_rows_are_not_reported(step: str, findings: Findings) -> None:
    assert not [f for f in findings(SCRIPT.format(step=step), FAULT) if f.remedies]


TWO = (
    "order, own = torch.randperm(40), torch.randperm(40); out = model(0.7 * inputs + 0.3 * inputs[order]); "
    "hot = nn.functional.one_hot(targets, 3).float(); "
    "loss = criterion(out, 0.7 * hot + 0.3 * hot[{order}])"
)


def test_rows_and_targets_that_are_mixed_in_two_orders_are_a_fact(findings: Findings) -> None:
    (finding,) = findings(SCRIPT.format(step=TWO.format(order="own")), FAULT)
    assert finding.certain and not finding.remedies and "different random orders" in finding.message


def test_rows_and_targets_that_are_mixed_in_one_order_are_not_reported(findings: Findings) -> None:
    assert not findings(SCRIPT.format(step=TWO.format(order="order")), FAULT)


@pytest.mark.net
def test_targets_in_an_order_of_their_own_are_the_cause_and_are_put_back(tmp_path: Path) -> None:
    whole = diagnosed(SCRIPT.format(step=APART["in the loss"][0]), tmp_path / "apart")
    assert [f.fault for f in whole.diagnosis.causes] == [FAULT]
    assert whole.diagnosis.patch is not None and PLAIN in str(whole.diagnosis.patch.files)
