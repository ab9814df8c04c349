"""Whether a step lowers the loss of its own batch.

## What it asks

Does the script's own optimizer step lower the loss of the batch that it is made from?

## How

The first STEPS recorded steps are made again; behind each, the same batch is asked once more, with the same random
numbers.

## What it costs

About STEPS steps and as many forwards.

## What is healthy

Nearly every step lowers the loss of its own batch. Where most raise it, the rate is too large, the sign of the loss or
of the update is turned, or what is stepped along is not the gradient of this loss. Steps of noise-like losses (players,
policies) may go either way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.micro.training import Training
from unstuck.tape.site import Site

COST, KEEPS = 16, 0.15
STEPS = 12
LEAST = 1e-6
"""Relative rise of a loss that is one: a step may be smaller than the loss's own rounding, or none at all."""
RISES = 10
"""Of STEPS, those that raise the loss: as many or more come by chance in 2 of 100 runs whose steps go either way."""


@dataclass(frozen=True)
class Descent:
    """Steps and what they did to the loss of their own batch."""

    steps: int
    rises: int
    first: tuple[float, float]
    """The loss of the first batch before and after its step."""
    site: Site | None = None

    @property
    def why(self) -> str:
        """How many steps raise the loss of their batch."""
        before, after = self.first
        said = f"{self.rises} of {self.steps} steps raise the loss of their own batch"
        return f"{said}; the first changes it from {before:.4g} to {after:.4g}"

    @property
    def numbers(self) -> dict[str, float]:
        """Steps, rises, and the first step's losses."""
        return {"steps": self.steps, "rises": self.rises, "before": self.first[0], "after": self.first[1]}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That steps raise the loss."""
        if self.rises < RISES:
            return ()
        return (Statement(self.why, self.site, "descent", self.numbers),)


def ask(recorded: Recorded) -> Descent:
    """Make the first steps again. Raises NotApplicable where there are fewer with one optimizer."""
    tape = recorded.tape
    if len({u.optimizer for u in tape.updates}) != 1:
        raise NotApplicable("not one optimizer makes all steps")
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    spent = {u.after for u in tape.updates}
    training, pairs = Training(recorded), list[tuple[float, float]]()
    while len(pairs) < STEPS and training.at < min(len(tape.passes), 4 * STEPS):
        step = training.step().with_(seed=training.at)
        made = step.backward()
        if not torch.isfinite(made.loss):
            break
        training.advance(made.gradients)
        if training.at in spent:
            mine = {name: training.weights[name] for name in step.weights}
            pairs.append((float(made.loss), step.with_(weights=mine).loss()))
    if len(pairs) < STEPS:
        raise NotApplicable(f"fewer than {STEPS} steps with a finite loss were recorded")
    rises = sum(not after < before + LEAST * abs(before) for before, after in pairs)
    return Descent(len(pairs), rises, pairs[0], tape.optimizers[tape.updates[0].optimizer].made)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12)
y = x[:, :4].sum(1, keepdim=True)
model = nn.Linear(12, 1)
optimizer = torch.optim.SGD(model.parameters(), lr={rate})
for epoch in range(4):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(rate=1.5)
QUIET = _SCRIPT.format(rate=0.02)
