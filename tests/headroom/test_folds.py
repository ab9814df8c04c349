"""Rows that belong together are not divided between what learners train on and what they are asked."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.recorded import Record
from unstuck.diagnosis.whole_runs import run_of
from unstuck.headroom.folds import Folds, folds
from unstuck.headroom.measure import measured
from unstuck.headroom.rows import Part, Rows

WINDOWS = """
import torch
from torch import nn
torch.manual_seed(0)
series = torch.randn(700).cumsum(0)
x = torch.stack([series[n:n + {length}] for n in range(600)])
y = torch.stack([series[n + {length}:n + {length} + 40].mean() for n in range(600)])
y = (y > {threshold}).long()
model = nn.Linear({length}, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
for epoch in range(4):
    for rows in torch.randperm(600).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
"""


def made(values: Tensor) -> Rows:
    return Rows((Part(values, False),), torch.zeros(len(values)), torch.arange(len(values)))


def asked_once(found: Folds, count: int) -> bool:
    return torch.equal(torch.cat([asked for _, asked in found.pairs]).sort().values, torch.arange(count))


@given(st.integers(0, 10_000), st.integers(8, 30), st.booleans(), st.integers(1, 3))
def test_windows_of_a_series_are_held_out_in_blocks(seed: int, length: int, wide: bool, stride: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    series = torch.randn(stride * 300 + length, 3 if wide else 1, generator=draw)
    starts = torch.randperm(300, generator=draw)
    windows = torch.stack([series[stride * s : stride * s + length] for s in starts.tolist()])
    found = folds(made(windows if wide else windows[:, :, 0]))
    assert found.how == "by blocks of time" and asked_once(found, 300)
    for train, asked in found.pairs:
        distance = (starts[train].unsqueeze(1) - starts[asked]).abs().min()
        assert stride * int(distance) >= length - (not wide), "no step is on both sides"
        assert len(train) > 100


@given(st.integers(0, 10_000), st.integers(2, 6))
def test_rows_of_one_patient_stay_together(seed: int, visits: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    patient = torch.arange(60).repeat_interleave(visits)[torch.randperm(60 * visits, generator=draw)]
    own = torch.randn(60, 2, generator=draw)[patient]
    found = folds(made(torch.cat([torch.randn(len(own), 3, generator=draw), own], 1)))
    assert found.how == "by groups" and asked_once(found, len(own))
    for train, asked in found.pairs:
        assert not set(patient[train].tolist()) & set(patient[asked].tolist())


@pytest.mark.parametrize("values", [
    torch.randn(300, 8, generator=torch.Generator().manual_seed(0)),
    torch.randint(0, 200, (2000, 20), generator=torch.Generator().manual_seed(0)).float(),
    torch.randint(0, 2, (300, 30), generator=torch.Generator().manual_seed(0)).float(),
    torch.randn(300, 12, 12, generator=torch.Generator().manual_seed(0)).relu(),
    torch.randint(20, 70, (400, 6), generator=torch.Generator().manual_seed(0)).float(),
])  # fmt: skip
def test_independent_rows_are_divided_at_random(values: Tensor) -> None:
    found = folds(made(values))
    assert found.how == "at random" and asked_once(found, len(values))


def test_the_future_of_a_random_walk_is_not_promised(record: Record) -> None:
    """Neighbouring windows have nearly the same answer: at random, their neighbours would give it away."""
    tape = record(WINDOWS.format(length=12, threshold="series.median()"))
    found = measured(tape, run_of(tape).score)
    assert found.by.endswith("3-fold by blocks of time")
    assert found.interval[0] <= found.baseline <= found.interval[1]
