"""Train/test overlap: leaked copies are found; training accuracy, refits and repeated rounds are none."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.recorded import tape_of
from unstuck.signals.overlap import Overlap

SCRIPT = """
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
rng = np.random.default_rng(0)
x = torch.randn(400, 6)
y = (x[:, 0] > 0).long()
{rows}


def network():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
    return model, torch.optim.Adam(model.parameters(), lr=0.01)


def train(model, optimizer, data):
    for xb, yb in DataLoader(data, batch_size=40, shuffle=True):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(xb), yb).backward()
        optimizer.step()


def accuracy(model, data):
    with torch.no_grad():
        hits = sum((model(xb).argmax(1) == yb).sum().item() for xb, yb in DataLoader(data, batch_size=25, shuffle=True))
    print(hits / len(data))


model, optimizer = network()
first, second = TensorDataset(x[:300], y[:300]), TensorDataset(x[300:], y[300:])
for epoch in range(4):
    {loop}
"""
FIT = "train(model, optimizer, first); "
COPIED = "order = torch.randint(150, (400,))\nx, y = x[order], y[order]"


def _overlap(folder: Path, loop: str, rows: str = "") -> tuple[float, float]:
    return Overlap.read(tape_of(SCRIPT.format(rows=rows, loop=loop), folder)).shared


@pytest.mark.parametrize(
    "loop",
    [
        FIT + "accuracy(model, second)",
        FIT + "accuracy(model, first); accuracy(model, second)",
        FIT + "accuracy(model, second); accuracy(model, second)",
        "model, optimizer = network(); fold = slice(epoch * 100, epoch * 100 + 100); "
        "train(model, optimizer, TensorDataset(x[100:300], y[100:300])); "
        "accuracy(model, TensorDataset(x[fold], y[fold]) if epoch in (0, 3) else second)",
        "fold = TensorDataset(x[epoch * 100 :][:100], y[epoch * 100 :][:100]); "
        "accuracy(model, fold); train(model, optimizer, fold)",
    ],
    ids=["validation", "training accuracy", "evaluated twice", "refitted", "tested, then trained on"],
)
def test_rows_apart_are_not_shared(loop: str, tmp_path: Path) -> None:
    assert _overlap(tmp_path, loop) == (0.0, 0.0)


@pytest.mark.parametrize("loop", ["accuracy(model, second)", "accuracy(model, first); accuracy(model, second)"])
def test_copies_on_both_sides_are_shared(loop: str, tmp_path: Path) -> None:
    share, copies = _overlap(tmp_path, FIT + loop, COPIED)
    assert 0.3 < share < 0.99
    assert copies > 0.02


def test_only_the_training_set_is_all_shared(tmp_path: Path) -> None:
    assert _overlap(tmp_path, FIT + "accuracy(model, first)") == (1.0, 0.0)


def test_equal_rows_of_few_values_are_chance(tmp_path: Path) -> None:
    assert _overlap(tmp_path, FIT + "accuracy(model, second)", "x = (torch.rand(400, 6) > 0.5) * 0.7") == (0.0, 0.0)


ONCE = """
for part in range(15):  # one epoch of rows that come but once, of which the tape holds the first ones
    train(model, optimizer, TensorDataset(more[part * 80 :][:80], (more[part * 80 :][:80, 0] > 0).long()))
"""


def test_nothing_is_said_of_training_rows_that_were_recorded_in_part(tmp_path: Path) -> None:
    rows = "more = torch.randn(1200, 6)"
    last = "all_of_it = TensorDataset(more[torch.randperm(1200)], torch.zeros(1200).long()); accuracy(model, all_of_it)"
    text = SCRIPT.format(rows=rows, loop="pass") + ONCE + last
    tape = tape_of(text, tmp_path)
    half = msgspec.structs.replace(tape, passes=tape.passes[:15], late=tape.passes[15:], late_at=tuple(range(15, 30)))
    found = Overlap.read(half)
    assert not found.everything and found.shared == (0.0, 0.0)


def test_a_set_evaluated_more_often_than_another_has_no_copies(tmp_path: Path) -> None:
    mixed = "TensorDataset(x[200:], y[200:])"
    share, copies = _overlap(
        tmp_path, FIT + f"accuracy(model, second); accuracy(model, {mixed}); accuracy(model, {mixed})"
    )
    assert 0.1 < share < 0.9 and copies == 0.0


SAMPLED = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)


def given(x, t):
    return torch.cat([x, torch.stack([(t * k).cos() for k in range(1, 7)], 1)], 1)


for step in range(30):
    x, t = torch.randn(64, 2), torch.rand(64)
    loss = (net(given(x, t)) - x * t[:, None]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    x = {first}
    for t in (0.1,) * 3:
        x = x - 0.01 * net(given(x, torch.full((64,), t)))
"""


@pytest.mark.parametrize(
    ("first", "features", "ratio"), [("torch.randn(64, 2)", 2, 1.0), ("torch.ones(64, 2)", 8, 0.0)]
)
def test_a_feature_that_stays_the_same_says_nothing_of_its_scale_unless_all_do(
    first: str, features: int, ratio: float, tmp_path: Path
) -> None:
    _, ratios = Overlap.read(tape_of(SAMPLED.format(first=first), tmp_path)).spread()
    assert len(ratios) == features and float(ratios.median()) == pytest.approx(ratio, abs=0.4)
