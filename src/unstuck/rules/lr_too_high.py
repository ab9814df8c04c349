"""The learning rate is too high: the loss swings, stands still or explodes.

## Why it hurts
A step goes along a slope that is known at one point only. If it reaches past the other side of the valley, the next one
starts higher up: the loss jumps about, or becomes NaN. Somewhat too large a rate can also push ReLU units so far that
they never answer again, or sigmoids so far that nothing comes back, which a smaller rate later does not repair.

## How it is seen
The recorded batches are replayed from the recorded weights at many rates at once. The run as written learns little, and
a rate several times smaller does clearly better. (Where the step cannot be replayed: the loss became NaN or infinite,
or stands far above where it began.)

## What to do
Set the rate that did best among those nearest to what was written; if one has to guess, divide by ten. A warm-up or
clipping the gradient's norm allows somewhat larger rates.
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

AWAY = 0.35
"""The better rate is at most this share of the written one: a factor of three is no accident of one run."""
BLOWN = 5.0
"""Without a replay: the loss at the end stands this many times above its start."""
GUESS = 0.1


def check(tape: Tape, learning: Learning, sweep: Sweep | None) -> Iterator[Finding]:
    """Look for a smaller rate that does better."""
    factor = better(sweep, learning.final, lambda f: f <= AWAY) if sweep else _guess(learning)
    if factor is None:
        return
    written = first_rate(tape)
    rate = rounded(written * factor)
    yield Finding(
        "lr-too-high",
        f"the learning rate {written:g} is too high: {_said(sweep, learning, factor, rate)}",
        optimizer_site(tape),
        _evidence(sweep, learning, factor),
        (SetRate(rate / written, rate),),
    )


def _guess(learning: Learning) -> float | None:
    start, end = abs(learning.loss[0]), learning.loss[-1]
    return GUESS if learning.broke or end > BLOWN * max(start, 1e-12) else None


def _said(sweep: Sweep | None, learning: Learning, factor: float, rate: float) -> str:
    if sweep is None:
        return "the loss became NaN or infinite" if learning.broke else "the loss ends far above its start"
    return (
        f"the same batches reach a skill of {sweep.at(factor):.2f} at {rate:g}, {sweep.at(1.0):.2f} at {sweep.base:g}"
    )


def _evidence(sweep: Sweep | None, learning: Learning, factor: float) -> tuple[Evidence, ...]:
    if sweep is None:
        return (Evidence("loss at the end", learning.loss[-1], f"below {learning.loss[0]:.3g}, where it began"),)
    return (
        Evidence("skill at the written rate", sweep.at(1.0), "close to the best of the sweep"),
        Evidence(f"skill at {factor:.2g} times that rate", sweep.at(factor), "no better"),
    )


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(800, 6)
y = torch.sin(2 * x[:, :1]) + x[:, 1:2]
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=3.0)
for epoch in range(12):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("lr=3.0", "lr=0.01")
