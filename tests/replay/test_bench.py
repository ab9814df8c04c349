"""The bench: which course fits into its seconds, with how many rows, and the sweep of learning rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recorded import tape_of
from unstuck.diagnosis.examine import Readings, examine
from unstuck.diagnosis.runners import arm
from unstuck.diagnosis.search import suspects
from unstuck.diagnosis.verdict import judge
from unstuck.replay.bench import Bench, rates_around
from unstuck.replay.thinned import thinned
from unstuck.rules.catalogue import catalogue

HEAVY = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(480, 1, 12, 12, dtype=torch.float64)
y = (x[:, 0, :6].mean((1, 2)) > x[:, 0, 6:].mean((1, 2))).long()
model = nn.Sequential(nn.Conv2d(1, 12, 3), nn.ReLU(), nn.Conv2d(12, 12, 3), nn.ReLU(), nn.Flatten(), nn.Linear(768, 2))
model = model.double()
optimizer = torch.optim.Adam(model.parameters(), lr={rate})
for step in range(45):
    rows = torch.randint(0, 480, (160,))
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows], reduction="{reduction}")
    loss.backward()
    optimizer.step()
"""


@pytest.mark.net
def test_heavy_steps_are_replayed_with_fewer_rows(tmp_path: Path) -> None:
    tape = tape_of(HEAVY.format(rate=1e-7, reduction="mean"), tmp_path)
    bench = Bench(tape, seconds=0.4)
    assert bench.every > 1
    assert not bench.why
    sweep = bench.sweep()
    assert sweep.at(1.0) < 0.3 < max(sweep.skills)
    readings = Readings(tape)
    readings.give(sweep)
    findings, _ = examine(readings, {"lr-too-low": catalogue()["lr-too-low"]})
    (remedy, _), *_ = suspects(findings)
    treated = bench.treat((remedy,))
    assert judge(arm(bench.written), arm(treated), treated.passes).word in ("heals", "helps")


def test_a_sum_over_rows_is_not_thinned(tmp_path: Path) -> None:
    tape = tape_of(HEAVY.format(rate=1e-5, reduction="sum"), tmp_path)
    assert thinned(tape, 4) is tape
    assert Bench(tape, seconds=0.4).every == 1


@pytest.mark.parametrize("rate", [0.0, 1e-9, 4e-8, 1e-5, 1e-3, 0.1, 10.0])
def test_a_sweep_holds_the_written_rate_and_a_common_one(rate: float) -> None:
    factors = rates_around(rate)
    assert 1.0 in factors
    assert len(factors) <= 20
    assert list(factors) == sorted(factors)
    assert rate == 0 or rate < 1e-9 or max(factors) * rate >= 0.003


def test_an_entry_of_the_log_is_the_same_on_the_same_tape(tmp_path: Path) -> None:
    tape = tape_of(HEAVY.format(rate=1e-3, reduction="mean"), tmp_path)
    one, other = (Bench(tape, seconds=0.4) for _ in range(2))
    assert len(one.course.passes) == len(other.course.passes)
    assert arm(one.written) == arm(other.written)


SHORT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 8)
y = (x[:, :4].sum(1) > x[:, 4:].sum(1)).long()
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
for rows in torch.randperm(600).split(10):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
    loss.backward()
    optimizer.step()
"""


@pytest.mark.parametrize(("rate", "short"), [(0.01, True), (1e-5, False)])
def test_a_short_run_is_told_from_a_low_rate(rate: float, short: bool, tmp_path: Path) -> None:
    tape = tape_of(SHORT.format(rate=rate), tmp_path)
    sweep = Bench(tape).sweep()
    assert sweep.short == short
    readings = Readings(tape)
    readings.give(sweep)
    findings, _ = examine(readings, {"lr-too-low": catalogue()["lr-too-low"]})
    assert bool(findings) != short
