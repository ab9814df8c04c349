"""What lanes at once cannot do is replayed one lane after the other, and agrees with the recorded run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.recorded import tape_of
from unstuck.replay.bench import Bench, as_written
from unstuck.replay.lanes import starts
from unstuck.replay.run import LaneRun

HEAD = """
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(400, 10)
w = torch.randn(10)
y = (x @ w > 0).long()
net = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 2))
"""
LBFGS = (
    HEAD
    + """
optimizer = torch.optim.LBFGS(net.parameters(), lr={rate}, max_iter=4{options})
for step in range(24):
    rows = torch.randint(0, 400, (64,))
    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x[rows]), y[rows])
        loss.backward()
        return loss
    optimizer.step(closure)
"""
)
ONCE = (
    HEAD
    + """
optimizer = torch.optim.{optimizer}(net.parameters(), lr=0.05)
for step in range(40):
    rows = torch.randint(0, 400, (64,))
    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x[rows]), y[rows])
        loss.backward()
        return loss
    optimizer.step(closure)
"""
)
PLAIN = (
    HEAD
    + """
optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
for step in range(40):
    rows = torch.randint(0, 400, (64,))
    batch = x[rows]{changed}
    loss = {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)
PENALTY = PLAIN.format(
    changed=".requires_grad_()",
    loss="F.cross_entropy(out := net(batch), y[rows])"
    " + 0.1 * torch.autograd.grad(out.sum(), batch, create_graph=True)[0].square().sum(1).mean()",
)
VIEW = (
    HEAD
    + """
optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
for step in range(40):
    rows = torch.randint(0, 400, (64,))
    hidden = net[1](net[0](x[rows]))
    hidden[:, :8].mul_(2)
    loss = F.cross_entropy(net[2](hidden), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
)


def first_lane(bench: Bench) -> list[float]:
    return torch.stack(bench.written.losses)[:, 0].tolist()


@pytest.mark.parametrize(
    "text",
    [
        LBFGS.format(rate=0.5, options=""),
        LBFGS.format(rate=1, options=", line_search_fn='strong_wolfe'"),
        ONCE.format(optimizer="SGD"),
        ONCE.format(optimizer="Adafactor"),
        PENALTY,
        VIEW,
    ],
    ids=["LBFGS", "line search", "closure called once", "Adafactor", "double backward", "view changed in place"],
)
def test_a_step_that_lanes_cannot_do_at_once_has_its_losses(text: str, tmp_path: Path) -> None:
    tape = tape_of(text, tmp_path)
    bench = Bench(tape)
    assert bench.why == ""
    passes = bench.course.passes
    several = sorted({u.after for u in tape.updates if u.closure and u.after < len(passes)})
    scored = [passes[at] for at in several] if several else [p for p in passes if p.program == bench.main]
    recorded = [p.loss for p in scored]
    assert first_lane(bench) == pytest.approx(recorded, rel=2e-4)


def test_a_rate_that_is_too_low_for_lbfgs_is_seen(tmp_path: Path) -> None:
    bench = Bench(tape_of(LBFGS.format(rate=1e-6, options=""), tmp_path))
    assert bench.manner == "one by one"
    sweep = bench.sweep()
    assert sweep.at(1.0) < 0.5 < max(sweep.skills)


def test_a_lane_that_diverges_fails_alone(tmp_path: Path) -> None:
    """A binary cross-entropy raises an error for all lanes at once where one of them holds a NaN."""
    loss = "F.binary_cross_entropy(net(batch)[:, 0].sigmoid(), y[rows].float())"
    bench = Bench(tape_of(PLAIN.format(changed=" * 1e15", loss=loss), tmp_path))
    assert bench.why == ""
    sweep = bench.sweep()
    assert len(sweep.skills) == len(sweep.factors)


def test_lanes_one_by_one_do_what_lanes_at_once_do(tmp_path: Path) -> None:
    bench = Bench(tape_of(PLAIN.format(changed="", loss="F.cross_entropy(net(batch), y[rows])"), tmp_path))
    trial = as_written(bench.tape)
    factors = torch.tensor([1.0, 0.1, 10.0])
    run = lambda manner: LaneRun(trial, bench.course, starts(trial.start, trial.holders, 3), factors, manner=manner)
    one, other = (torch.stack(run(manner).to(40).losses) for manner in ("at once", "one by one"))
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-5)
