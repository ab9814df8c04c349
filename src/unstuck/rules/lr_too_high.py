"""The learning rate is too high: the loss oscillates, stalls or diverges.

## Why it hurts
A gradient is the slope at one point. If a step overshoots the minimum, the next one starts higher up: the loss jumps
about, or becomes NaN. A rate that is only somewhat too high can still push ReLU units to zero output (dead ReLU) or
sigmoids into saturation, and lowering the rate later does not bring them back.

## How it is seen
The recorded batches are replayed from the recorded weights at many learning rates at once. The run as written learns
little, and a rate at least three times lower reaches a clearly higher skill. Or the script's own optimizer does not
learn one small batch by heart, and does at a lower rate. If the steps cannot be replayed often enough for that: the
loss became NaN or infinite, or ends far above its start; or each of the first steps changes most weight matrices by
more than their whole size.

## What to do
Use the rate that did best; without a sweep, divide by ten. Learning-rate warm-up or gradient clipping allows somewhat
higher rates.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.diagnosis.stages import Stage
from unstuck.micro.by_heart import ByHeart
from unstuck.micro.reach import Reach
from unstuck.rules._rates import better, first_rate, rate_site, rounded, set_rate
from unstuck.signals.learning import Learning
from unstuck.signals.sweep import Sweep
from unstuck.tape.model import Tape

STAGE = Stage.OPTIMISATION
AWAY = 0.35
"""The better rate is at most a third of the written one. A sweep has two rates to a decade, so this is one of its
steps; neighbouring rates do about the same."""
BLOWN = 5.0
"""Without a sweep: the loss ends this many times above its start. Batches of one run differ by far less."""
GUESS = 0.1
USUAL = 0.01
"""A step's size over the weight's in the first steps of training that goes well; later ones are smaller."""


def check(
    tape: Tape, learning: Learning, sweep: Sweep | None, heart: ByHeart | None, reach: Reach | None
) -> Iterator[Finding]:
    """Look for a lower learning rate that does better."""
    factor = better(sweep, learning.final, lambda f: f <= AWAY) if sweep else _guess(learning)
    written = first_rate(tape)
    if factor is None and written:
        if heart is not None:
            yield from _of_few_rows(tape, heart, written)
        if sweep is None and reach is not None:
            yield from _of_large_steps(tape, reach, written)
    if factor is None or not written:
        return
    rate = rounded(written * factor)
    remedy, where = set_rate(tape, rate / written)
    yield Finding(
        "lr-too-high",
        f"learning rate {written:g}{where} is too high: {_said(sweep, learning, factor, written)}",
        rate_site(tape, remedy),
        _evidence(sweep, learning, factor),
        (remedy,),
    )


def _of_few_rows(tape: Tape, heart: ByHeart, written: float) -> Iterator[Finding]:
    """A batch that is learnt by heart at a lower rate, and not at the written one."""
    if heart.verdict != "rate" or not heart.fails or heart.rate is None or heart.rate[0] > AWAY:
        return
    factor, arm = heart.rate
    remedy, where = set_rate(tape, rounded(written * factor) / written)
    said = f"learning rate {written:g}{where} is too high: {heart.batch} is not learnt by heart"
    evidence = (
        Evidence("share of the loss that is gone at the written rate", round(heart.own.share, 3), "near 1"),
        Evidence(f"the same at {factor:g} times that rate", round(arm.share, 3), "no better"),
    )
    yield Finding("lr-too-high", said, rate_site(tape, remedy), evidence, (remedy,))


def _of_large_steps(tape: Tape, reach: Reach, written: float) -> Iterator[Finding]:
    """Most weight matrices are changed by more than their size at each step: nothing that was learnt can stay."""
    matrices = [w for w in reach.weights if w.matrix and w.step > 0]
    large = [w for w in matrices if w.kind == "large"]
    if not large or 2 * len(large) < len(matrices):
        return
    size = median(w.step for w in matrices)
    rate = rounded(written * USUAL / size)
    remedy, where = set_rate(tape, rate / written)
    each = f"each step changes {len(large)} of {len(matrices)} weight matrices by more than their whole size"
    evidence = (Evidence("size of a step over the size of the weight, median", round(size, 3), f"near {USUAL:g}"),)
    said = f"learning rate {written:g}{where} is too high: {each}"
    yield Finding("lr-too-high", said, rate_site(tape, remedy), evidence, (remedy,), known="observed")


def _guess(learning: Learning) -> float | None:
    start, end = abs(learning.loss[0]), learning.loss[-1]
    return GUESS if learning.broke or end > BLOWN * max(start, 1e-12) else None


def _said(sweep: Sweep | None, learning: Learning, factor: float, written: float) -> str:
    if sweep is None:
        return "the loss became NaN or infinite" if learning.broke else "the loss ends far above its start"
    was, now = sweep.at(1.0), sweep.at(factor)
    return f"on the same batches, skill is {was:.2f} at {written:g} and {now:.2f} at {written * factor:g}"


def _evidence(sweep: Sweep | None, learning: Learning, factor: float) -> tuple[Evidence, ...]:
    if sweep is None:
        return (Evidence("loss at the end", learning.loss[-1], f"below {learning.loss[0]:.3g}, the loss at the start"),)
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
