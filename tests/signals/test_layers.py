"""The table of the step's layers: units, shares, gains and gradients, at the start and at the end of the run."""

from __future__ import annotations

import math

import pytest

from tests.recorded import Record
from unstuck.diagnosis.model import NotApplicable
from unstuck.signals.layers import Layers

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(60, {shape})
y = torch.randn(60, 1)
{model}
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for step in range(8):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


def table(record: Record, model: str, shape: str = "4") -> Layers:
    return Layers.read(record(SCRIPT.format(model=model, shape=shape)))


def test_units_of_a_1d_convolution_are_its_channels(record: Record) -> None:
    model = "model = nn.Sequential(nn.Conv1d(2, 6, 3), nn.BatchNorm1d(6), nn.ReLU(), nn.Flatten(), nn.Linear(60, 1))"
    dead = "\nwith torch.no_grad():\n    model[1].bias[:3] = -9.0"
    relu = next(x for x in table(record, model + dead, "2, 12").rows if x.call.name == "relu")
    assert (relu.start.units, relu.start.silent) == (6, 0.5)


@pytest.mark.parametrize(
    ("activation", "flat"), [("Tanh", True), ("Softsign", True), ("ReLU6", False), ("GELU", False)]
)
def test_only_two_sided_activations_saturate(record: Record, activation: str, flat: bool) -> None:
    model = f"model = nn.Sequential(nn.Linear(4, 8), nn.{activation}(), nn.Linear(8, 1))\nx = 1e6 * x"
    row = table(record, model).rows[1]
    assert (row.start.flat > 0.5) is flat
    assert row.start.given > 1e5


def test_nan_is_not_saturation(record: Record) -> None:
    model = "model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))\ny[0] = float('nan')"
    row = table(record, model).rows[1]
    assert math.isnan(row.end.scale)
    assert row.end.flat == 0


def test_gains_of_bare_matrices(record: Record) -> None:
    text = """
import torch

x, y = torch.randn(120, 4), torch.randn(120, 1)
a = (torch.randn(4, 8) / 2).requires_grad_()
b = (torch.randn(8, 1) / 8**0.5).requires_grad_()
optimizer = torch.optim.SGD([a, b], lr=0.01)
for step in range(5):
    loss = ((torch.tanh(x @ a) @ b - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
    matrices = Layers.read(record(text)).matrices
    assert [(m.name, m.fan_in, m.units, m.hidden) for m in matrices] == [("a", 4, 8, True), ("b", 8, 1, False)]
    assert all(0.4 < m.gain < 2.0 for m in matrices)


def test_a_layer_in_front_of_a_transposed_convolution_is_hidden(record: Record) -> None:
    model = (
        "model = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.ConvTranspose1d(3, 1, 3), nn.Flatten())\ny = x[:, 0]"
    )
    assert [m.hidden for m in table(record, model, "2, 12").matrices] == [True]


def test_gradients_are_relative_to_the_weights_at_both_ends(record: Record) -> None:
    model = "model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))"
    layers = table(record, model)
    assert [x.call.name for x in layers.rows] == ["linear", "tanh", "linear"]
    assert [m.name for x in layers.rows for m in x.matrices] == ["model.0.weight", "model.2.weight"]
    assert all(0 < g < 10 for m in layers.taught for g in m.gradient)


def test_weights_are_known_if_the_step_cannot_be_run_again(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.signals.activations.LONGEST", 1)
    layers = table(record, "model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))")
    with pytest.raises(NotApplicable, match="calls"):
        _ = layers.rows
    assert [m.units for m in layers.taught] == [8, 1]
