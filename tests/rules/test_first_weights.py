"""First weights that are too large, and what the first loss shows of them."""

from __future__ import annotations

import pytest

from tests.recorded import Findings, Record
from unstuck.micro import start_loss
from unstuck.micro.step import Recorded
from unstuck.rules import bad_init
from unstuck.signals.layers import Layers

SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 64)
y = (x @ torch.randn(64, 5)).argmax(1)
model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 5))
{first}
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
for rows in torch.randperm(400).split(40):
    loss = nn.functional.cross_entropy({scale}model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
WIDE = "nn.init.normal_(model[2].weight, std=5.0)"


@pytest.mark.parametrize(("first", "scale", "known"), [
    (WIDE, "", ["observed"]), (WIDE, "0.01 * ", ["guessed"]), ("", "", []), ("", "60 * ", []),
], ids=["wide", "wide, loss as it should be", "healthy", "another reason"])  # fmt: skip
def test_a_first_loss_above_its_form_shows_weights_that_are_too_large(
    record: Record, first: str, scale: str, known: list[str]
) -> None:
    tape = record(SCRIPT.format(first=first, scale=scale))
    found = list(bad_init.check(Layers.read(tape), tape, start_loss.ask(Recorded(tape))))
    assert [f.known for f in found] == known
    assert all(f.site is not None and f.site.line == 9 for f in found)
    assert [f.known for f in bad_init.check(Layers.read(tape), tape, None)] == ["guessed"] * len(known)


ZEROS = "for weight in model.parameters():\n    nn.init.zeros_(weight)"
LAST = "nn.init.zeros_(model[2].weight)"


def test_zeros_that_never_move_are_the_cause_by_themselves(record: Record) -> None:
    tape = record(SCRIPT.format(first=ZEROS, scale=""))
    (found,) = bad_init.check(Layers.read(tape), tape, None)
    assert found.known == "observed" and found.effect.word == "proven"
    assert "is still 0 everywhere" in found.effect.because


def test_a_last_layer_of_zeros_moves(record: Record) -> None:
    tape = record(SCRIPT.format(first=LAST, scale=""))
    assert not list(bad_init.check(Layers.read(tape), tape, None))


PARTS = """nn.init.zeros_(model[0].weight)
nn.init.zeros_(model[0].bias)
noise, model[1] = torch.randn(40, 32), nn.Tanh()
model[0].register_forward_hook(lambda layer, given, out: out + noise[: len(out)])"""


def test_units_that_start_as_one_and_part_are_not_reported(record: Record) -> None:
    tape = record(SCRIPT.format(first=PARTS, scale="9 * ").replace("lr=0.001", "lr=0.1"))
    assert not list(bad_init.check(Layers.read(tape), tape, None))


TABLES = """
import torch
from torch import nn

torch.manual_seed(0)
who, what = torch.randint(20, (400,)), torch.randint(30, (400,))
y = torch.rand(400).round()
users, things, core = nn.Embedding(20, 4), nn.Embedding(30, 4), nn.Parameter(torch.randn(4, 4))
weights = [users.weight, things.weight, core]
{first}
optimizer = torch.optim.Adam(weights, lr=0.01)
for rows in torch.randperm(400).split(20):
    scores = ((users(who[rows]) @ core) * things(what[rows])).sum(1)
    loss = nn.functional.binary_cross_entropy_with_logits(scores, y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("first", "found"), [
    ("for weight in weights: weight.data.zero_()", ["proven"]), ("things.weight.data.zero_()", []), ("", []),
])  # fmt: skip
def test_tables_that_stay_zeros(first: str, found: list[str], findings: Findings) -> None:
    assert [f.effect.word for f in findings(TABLES.format(first=first), "bad-init")] == found
