"""Networks without a hidden layer, or with too narrow a one; a replay says whether more of it helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from tests.scripts import edited
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.experiment import Experiment, Replay, Request
from unstuck.diagnosis.model import Finding
from unstuck.diagnosis.runners import Runners
from unstuck.diagnosis.search import is_effective
from unstuck.remedies.widen import Widen
from unstuck.rules.catalogue import catalogue
from unstuck.tape.model import Tape

LINEAR = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(900, 4)
y = {target}
model = {model}
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(15):
    for rows in torch.randperm(900).split(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
CIRCLE = "(x[:, 0] ** 2 + x[:, 1] ** 2 > 1.4).long()"


def found(tape: Tape) -> list[Finding]:
    return examine(Readings(tape), {"under-capacity": catalogue()["under-capacity"]})[0]


def replayed(tape: Tape) -> list[Experiment]:
    runners = Runners(tape, lambda _: None)
    remedies = [(f, r) for f in found(tape) for r in f.remedies]
    return [runners(Request(Replay(), (remedy,), (finding.fault,))) for finding, remedy in remedies]


def test_a_linear_model_of_a_circle_gets_a_hidden_layer(tmp_path: Path) -> None:
    text = LINEAR.format(target=CIRCLE, model="nn.Linear(4, 2)")
    (replay,) = replayed(tape_of(text, tmp_path))
    (remedy,) = replay.request.remedies
    assert is_effective(replay)
    assert remedy.name == "add-hidden"
    assert "nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 2))" in edited(remedy, text)


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("(x[:, 0] > x[:, 1]).long()", "nn.Linear(4, 2)"),
        ("((x[:, 0] + 0.8 * torch.randn(900)) > 0).long()", "nn.Linear(4, 2)"),
        (CIRCLE, "nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))"),
    ],
)
def test_no_hidden_layer_helps_where_the_relation_is_linear_or_one_is_there(
    tmp_path: Path, target: str, model: str
) -> None:
    assert not any(map(is_effective, replayed(tape_of(LINEAR.format(target=target, model=model), tmp_path))))


def test_a_bottleneck_is_widened_and_nothing_else(tmp_path: Path) -> None:
    layers = "nn.Linear(4, 1), nn.Tanh(), nn.Linear(1, 200), nn.Tanh(), nn.Linear(200, 2)"
    text = LINEAR.format(target=CIRCLE, model=f"nn.Sequential({layers})")
    (finding,) = found(tape_of(text, tmp_path))
    assert "passes through the one unit" in finding.message
    assert finding.remedies == (Widen(64),)
    wide = layers.replace("4, 1)", "4, 64)").replace("Linear(1,", "Linear(64,")
    assert f"nn.Sequential({wide})" in edited(Widen(64), text)


FACTORS = """
import torch
from torch import nn

torch.manual_seed(0)
n = torch.randint(0, 16, (600, 2))
left, right = torch.randn(16, 2), torch.randn(16, 2)
y = (left[n[:, 0]] * right[n[:, 1]]).sum(1)
a, b = nn.Embedding(16, {width}), nn.Embedding(16, {width})
optimizer = torch.optim.Adam([*a.parameters(), *b.parameters()], lr=0.03)
for epoch in range(8):
    for rows in torch.randperm(600).split(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss((a(n[rows, 0]) * b(n[rows, 1])).sum(1), y[rows])
        loss.backward()
        optimizer.step()
"""


@pytest.mark.parametrize(("width", "count"), [(1, 1), (12, 0)])
def test_embeddings_of_one_number_each_are_too_small(width: int, count: int, tmp_path: Path) -> None:
    assert len(found(tape_of(FACTORS.format(width=width), tmp_path))) == count
