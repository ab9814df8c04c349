"""A scheduler that spends the rate in the first epoch of a run that does well all the same."""

from __future__ import annotations

import pytest

from tests.recorded import Findings

FAULT = "scheduler-misuse"
EASY = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] + x[:, 1] > 0).long()
model = nn.Linear(6, 2)
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=8, gamma=0.5)
for epoch in range(20):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
{inner}        scheduler.step()
"""


def test_it_is_told_as_a_fact_without_an_effect(findings: Findings) -> None:
    (finding,) = findings(EASY.format(inner=""), FAULT)
    assert (finding.known, finding.effect.word, finding.severity) == ("observed", "undecided", "hint")
    assert finding.site is not None and finding.site.line == 16


@pytest.mark.parametrize("gamma", ["0.5", "1.0"])
def test_nothing_is_told_of_a_scheduler_that_is_stepped_per_epoch(findings: Findings, gamma: str) -> None:
    text = EASY.format(inner="").replace("        scheduler.step()", "    scheduler.step()")
    assert findings(text.replace("0.5)", f"{gamma})"), FAULT) == []
