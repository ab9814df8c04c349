"""Adam in the place of plain gradient descent: the construction in several styles, and where it is tried."""

from __future__ import annotations

import pytest
import torch

from tests.recorded import Record
from tests.scripts import LAYERS, edited, run
from unstuck.diagnosis.battery import battery
from unstuck.diagnosis.examine import Readings
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.set_rate import SetRate
from unstuck.remedies.treatment import CannotEdit
from unstuck.remedies.use_adam import UseAdam
from unstuck.replay.bench import Bench

MADE = """
{imports}
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 1))
groups = [{{"params": model[0].parameters(), "lr": 0.05}}, {{"params": model[1].parameters()}}]
optimizer = {call}
for _ in range(3):
    optimizer.step()
"""


@pytest.mark.parametrize(("imports", "call", "expected"), [
    ("import torch", "torch.optim.SGD(model.parameters(), lr=0.01)", "torch.optim.Adam(model.parameters(), lr=0.001)"),
    ("import torch\nfrom torch.optim import SGD",
     "SGD(model.parameters(), 0.01, 0.9, nesterov=True, weight_decay=1e-4)",
     "torch.optim.Adam(model.parameters(), 0.001, weight_decay=1e-4)"),
    ("import torch\nimport torch.optim as optim", "optim.SGD(params=model.parameters(), momentum=0.9, lr=0.01)",
     "optim.Adam(params=model.parameters(), lr=0.001)"),
    ("import torch", "torch.optim.SGD(groups, lr=0.01, dampening=0.1, momentum=0.5)",
     "torch.optim.Adam(groups, lr=0.001)"),
    ("import torch\nrate = 0.01", "torch.optim.SGD(\n    model.parameters(),\n    lr=rate,\n    momentum=0.9,\n)",
     "torch.optim.Adam(\n    model.parameters(),\n    lr=rate,\n)"),
], ids=["plain", "by position", "alias", "groups", "many lines"])  # fmt: skip
def test_construction_names_adam_and_keeps_what_it_takes(imports: str, call: str, expected: str) -> None:
    new = edited(UseAdam(SetRate(0.1, 0.001, rates=(0.01,))), MADE.format(imports=imports, call=call))
    assert f"optimizer = {expected}\n" in new
    optimizer = run(new)[0]["optimizer"]
    assert type(optimizer) is torch.optim.Adam
    assert optimizer.param_groups[-1]["lr"] == 0.001


def test_import_is_added_where_nothing_names_torch() -> None:
    text = "from torch.optim import SGD\nfrom nets import model\noptimizer = SGD(model.parameters(), lr=0.01)\n"
    new = edited(UseAdam(SetRate(0.1, 0.001)), text)
    assert "import torch\n" in new and "= torch.optim.Adam(model.parameters(), lr=0.001)" in new


def test_class_from_a_table_is_left_alone() -> None:
    text = LAYERS.replace("torch.optim.SGD(", 'getattr(torch.optim, "SGD")(')
    with pytest.raises(CannotEdit):
        edited(UseAdam(SetRate(0.1, 0.001)), text)


UNEVEN = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 4)
y = torch.sin(x[:, :1]) + x[:, 1:2]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))
        self.layers = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x) + 50 * self.shift


net = Net()
optimizer = torch.optim.{made}
for epoch in range(30):
    for rows in torch.randperm(600).split(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""
"""A rate that the shift bears is too low for the layers."""


def offered(record: Record, made: str) -> list[UseAdam]:
    found = battery(Readings(record(UNEVEN.format(made=made))))
    mine = [f for f in found if any(isinstance(r, UseAdam) for r in f.remedies)]
    assert all(f.fault == "lr-too-low" and f.stage is Stage.MECHANISM for f in mine)
    return [r for f in mine for r in f.remedies]


def test_lanes_learn_with_adam_what_they_do_not_with_sgd(record: Record) -> None:
    tape = record(UNEVEN.format(made="SGD(net.parameters(), lr=2e-5, momentum=0.5)"))
    (finding,) = (f for f in battery(Readings(tape)) if f.fault == "lr-too-low")
    bench = Bench(tape)
    assert float(bench.untreated(1.0).skill().median()) < 0.2
    assert float(bench.treat(finding.remedies, 1.0).skill().median()) > 0.7


@pytest.mark.parametrize(("made", "tried"), [
    ("SGD(net.parameters(), lr=2e-5)", True), ("Adam(net.parameters(), lr=2e-7)", False),
    ("RMSprop(net.parameters(), lr=2e-7)", False), ("SGD([*net.layers.parameters()], lr=0.1)", False),
])  # fmt: skip
def test_it_is_tried_only_on_plain_steps_of_a_run_that_learns_nothing(record: Record, made: str, tried: bool) -> None:
    assert bool(offered(record, made)) is tried
