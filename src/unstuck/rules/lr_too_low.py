"""The learning rate is too low: the run goes the right way and does not get there.

## Why it hurts
Weights can travel no further than rate times steps. A rate copied from fine-tuning, or meant for a loss that is summed
rather than averaged, leaves them near where they were drawn: the loss creeps down evenly, or seems to stand still, and
the outputs stay close to one value for every input.

## How it is seen
The recorded batches are replayed from the recorded weights at many rates at once. The run as written learns little, and
a rate many times larger does clearly better on the same number of steps.

## What to do
Set the rate that did best among those nearest to what was written. More epochs at the old rate would do the same, but
ten times as many.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.set_rate import SetRate
from unstuck.replay.bench import Sweep
from unstuck.rules._places import optimizer_site
from unstuck.rules._rates import better, first_rate, rounded
from unstuck.signals.learning import Learning
from unstuck.tape.model import Tape

AWAY = 9.0
"""The better rate is at least so many times the written one: a run that is merely short gains less by any rate."""

RISES = 0.03
"""Skill gained over the last quarter of a recording by a run that is on its way."""


def check(tape: Tape, sweep: Sweep, learning: Learning) -> Iterator[Finding]:
    """Look for a larger rate that does better."""
    factor, written = better(sweep, learning.final, lambda f: f >= AWAY), first_rate(tape)
    if factor is None or not written or (tape.stopped == "budget" and _rises(learning)):
        return
    rate = rounded(written * factor)
    yield Finding(
        "lr-too-low",
        f"the learning rate {written:g} is too low: the same batches from the same weights reach a skill of "
        f"{sweep.at(factor):.2f} at {rate:g}, {sweep.at(1.0):.2f} at {written:g}",
        optimizer_site(tape),
        (
            Evidence("skill at the written rate", sweep.at(1.0), "close to the best of the sweep"),
            Evidence(f"skill at {factor:.2g} times that rate", sweep.at(factor), "no better"),
        ),
        (SetRate(rate / written, rate),),
    )


def _rises(learning: Learning) -> bool:
    """Whether the run was still getting better when the recording ended: it may well arrive by itself."""
    quarter = max(1, len(learning.skill) // 4)
    last, before = learning.skill[-quarter:], learning.skill[-2 * quarter : -quarter]
    return bool(before) and sum(last) / len(last) > sum(before) / len(before) + RISES


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 6)
y = torch.sin(2 * x[:, :1]) + x[:, 1:2]
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
for epoch in range(12):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("lr=1e-5", "lr=0.01")
