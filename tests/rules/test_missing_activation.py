"""A loss that gets raw outputs is told at the line that the remedy rewrites."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.source.text import Sources

SCRIPT = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(120, 6)
y = (x[:, 0] > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(6, 16), nn.Linear(16, {outputs})

    def forward(self, x):
        return 4 * self.two(self.one(x).relu())


net, {criterion}
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for rows in torch.randperm(120).split(20):
    out, target = net(x[rows]), y[rows]
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
BINARY = "criterion(out.squeeze(1), target.float())"


@pytest.mark.parametrize(
    ("criterion", "outputs", "loss", "told"),
    [
        ("criterion = Net(), nn.NLLLoss()", 2, "criterion(out, target)", "nn.NLLLoss()"),
        ("other = Net(), nn.NLLLoss()", 2, "F.nll_loss(out, target)", "F.nll_loss(out, target)"),
        ("criterion = Net(), nn.BCELoss()", 1, BINARY, "nn.BCELoss()"),
    ],
)
def test_it_is_told_at_the_line_that_the_remedy_rewrites(
    criterion: str, outputs: int, loss: str, told: str, record: Record, findings: Findings
) -> None:
    tape = record(SCRIPT.format(criterion=criterion, outputs=outputs, loss=loss))
    (found,) = findings(tape, "missing-activation")
    before, (remedy,) = tape.sources["train.py"], found.remedies
    after = remedy.edit(Sources(tape.sources, tape.script)).files["train.py"]
    line = (found.site.line if found.site else 0) - 1
    assert told in before.splitlines()[line]
    assert told not in after.splitlines()[line]


@pytest.mark.parametrize(
    ("loss", "line"),
    [
        ("criterion(out.softmax(1), target)", "loss = nn.CrossEntropyLoss()(out, target)"),
        ("F.kl_div(F.softmax(out, dim=1), F.one_hot(target, 2).float(), reduction='batchmean')",
         "F.kl_div(F.log_softmax(out, dim=1), F.one_hot(target, 2).float(), reduction='batchmean')"),
        ("F.kl_div(out.softmax(1), F.one_hot(target, 2).float(), reduction='batchmean')",
         "F.kl_div(out.log_softmax(1), F.one_hot(target, 2).float(), reduction='batchmean')"),
    ],
)  # fmt: skip
def test_probabilities_without_a_logarithm_are_reported(
    loss: str, line: str, record: Record, findings: Findings
) -> None:
    text = SCRIPT.format(criterion="criterion = Net(), nn.NLLLoss()", outputs=2, loss=loss)
    tape = record(text)
    (found,) = findings(tape, "missing-activation")
    assert found.certain and "gets the probabilities of softmax" in found.message
    (remedy,) = found.remedies
    after = remedy.edit(Sources(tape.sources, tape.script)).files["train.py"]
    assert line in after.replace("criterion(", "nn.CrossEntropyLoss()(") and "softmax(1), target" not in after
    assert not findings(record(after), "missing-activation")


@pytest.mark.parametrize("out", ["out.log_softmax(1)", "out.softmax(1).log()", "(out.softmax(1) + 1e-8).log()"])
@pytest.mark.parametrize(
    "loss", ["criterion({out}, target)", "F.kl_div({out}, F.one_hot(target, 2).float(), reduction='batchmean')"]
)
def test_logarithms_are_not_reported(loss: str, out: str, findings: Findings) -> None:
    text = SCRIPT.format(criterion="criterion = Net(), nn.NLLLoss()", outputs=2, loss=loss.format(out=out))
    assert not findings(text, "missing-activation")


def test_probabilities_that_are_used_elsewhere_stay_probabilities(record: Record, findings: Findings) -> None:
    loss = "F.kl_div(out.softmax(1), F.one_hot(target, 2).float(), reduction='batchmean')"
    loss = loss.replace("out.softmax(1)", "(p := out.softmax(1))") + "; sure = (p > 0.9).sum()"
    tape = record(SCRIPT.format(criterion="criterion = Net(), nn.NLLLoss()", outputs=2, loss=loss))
    (found,) = findings(tape, "missing-activation")
    edited = found.remedies[0].edit(Sources(tape.sources, tape.script)).files["train.py"]
    assert "p.exp() > 0.9" in edited or "(p).exp() > 0.9" in edited
