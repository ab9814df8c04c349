"""The learning rate is too low: the loss falls, but too slowly to get anywhere.

## Why it hurts
Weights can move no further than learning rate times steps. A rate copied from fine-tuning, or meant for a loss that is
summed rather than averaged, leaves them near their initial values: the loss creeps down or seems to stand still, and
the outputs stay close to one value for every input.

## How it is seen
The recorded batches are replayed from the recorded weights at many learning rates at once. The run as written learns
little, and a rate at least ten times higher reaches a clearly higher skill in the same number of steps. A run that
improves, and learns at its own rate in four times as many steps, is only too short.

Steps of SGD are as large as the gradient is: a rate that one layer bears can be far too low for another. Where a run
learns nothing and no rate of the sweep helps, the same batches are replayed with Adam, whose steps do not depend on the
size of the gradient.

Without a sweep, the change of the weights is measured: a run that learns nothing, at a constant rate and to its own
end, and changes no weight matrix by more than 1 % of its size.

## What to do
Use the rate that did best. Training longer at the old rate would do the same, but takes at least ten times as many
epochs. Where only Adam learns, train with Adam (at 0.001, as its authors propose), or scale the gradients.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.skill import SHORTEST, improves, learns
from unstuck.diagnosis.stages import Stage
from unstuck.micro.reach import Reach
from unstuck.rules._rates import better, first_rate, rate_site, rounded, set_rate
from unstuck.signals.learning import Learning
from unstuck.signals.rates import Rates
from unstuck.signals.sweep import Sweep
from unstuck.tape.model import Tape

STAGE = Stage.OPTIMISATION
AWAY = 9.0
"""The better rate is at least ten times the written one (9 leaves room for rounding). A run that is merely short gains
from any higher rate, but two or three times the rate is what two or three times the epochs would do."""


NEAR = 0.01
"""Of the size of a layer's first weights: a run that ends nearer to them than this has hardly changed an output."""
FAR, MOST = 0.1, 1000.0
"""How far a run is to go at the rate that is proposed, and the most that a rate is multiplied by."""


def check(
    tape: Tape, sweep: Sweep | None, learning: Learning, rates: Rates | None, reach: Reach | None
) -> Iterator[Finding]:
    """Look for a higher learning rate that does better, else at how far the weights went."""
    if learning.passes < SHORTEST or (tape.cut and improves(learning.skill)):
        return
    if tape.cut and rates is not None and rates.rising:
        return  # a warm-up that has not ended: its rate is still to come
    written = first_rate(tape)
    factor = better(sweep, learning.final, lambda f: f >= AWAY) if sweep is not None else None
    if sweep is not None and factor is not None and written:
        yield from _by_sweep(tape, sweep, learning, factor, written)
    elif sweep is None and reach is not None and written and not learns(learning.final) and _steady(tape, rates):
        yield from _by_way(tape, reach, written)


def _by_sweep(tape: Tape, sweep: Sweep, learning: Learning, factor: float, written: float) -> Iterator[Finding]:
    """A rate at which the same batches teach more; a run that learns at its own in more steps is only too short."""
    if sweep.short and improves(learning.skill):
        return
    rate = rounded(written * factor)
    remedy, where = set_rate(tape, rate / written)
    yield Finding(
        "lr-too-low",
        f"learning rate {written:g}{where} is too low: on the same batches, skill is {sweep.at(1.0):.2f} "
        f"at {written:g} and {sweep.at(factor):.2f} at {rate:g}",
        rate_site(tape, remedy),
        (
            Evidence("skill at the written rate", sweep.at(1.0), "close to the best of the sweep"),
            Evidence(f"skill at {factor:.2g} times that rate", sweep.at(factor), "no better"),
        ),
        (remedy,),
    )


def _steady(tape: Tape, rates: Rates | None) -> bool:
    """Whether the run came to its own end, at one rate: else a schedule, or the steps to come, may be the reason."""
    return not tape.cut and (rates is None or not rates.moves)


def _by_way(tape: Tape, reach: Reach, written: float) -> Iterator[Finding]:
    """Weights that end near their first values."""
    way = reach.farthest
    if not way < NEAR:
        return
    rate = rounded(written * min(MOST, FAR / max(way, FAR / MOST)))
    remedy, where = set_rate(tape, rate / written)
    yield Finding(
        "lr-too-low",
        f"learning rate {written:g}{where} is too low: the whole run moves no layer's weights by more than "
        f"{way:.2g} of their size",
        rate_site(tape, remedy),
        (Evidence("largest change of a layer's weights, over their size at the start", way, f"{FAR:g} or more"),),
        (remedy,),
        known="observed",
    )


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
