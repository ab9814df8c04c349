"""Whether a position enters the loss as if it were a value.

## What it asks

Does the place of a maximum (the result of `argmax`, the second one of `max`, `topk` or `sort`) take part in the
arithmetic of the loss or of its targets?

## How

The results of these calls are followed through the step: past calls that hand the same numbers on, up to arithmetic
with floating-point numbers.

## What it costs

One forward of the recorded step.

## What is healthy

A position chooses: it goes into `gather`, an embedding, an index or a comparison. Multiplied by a discount or added to
a reward it is a number between 0 and the number of entries, and says nothing of how large the maximum is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.tape.interpreter import Values
from unstuck.tape.program import Call, Program, Value

COST = 1
ONLY = {"argmax", "argmin", "argsort"}
SECOND = {"max", "min", "topk", "sort", "kthvalue", "median", "mode"}
"""Calls whose first result is the values and whose second one is their places."""


@dataclass(frozen=True)
class Positions:
    """A call that gives positions, and the arithmetic that takes them for values."""

    asked: int
    """Calls of the step that give positions."""
    maker: Call | None = None
    taker: Call | None = None

    @property
    def why(self) -> str:
        """What is done with positions."""
        if self.maker is None or self.taker is None:
            return f"no position of the step's {self.asked} takes part in its arithmetic"
        instead = (
            "its first result holds the values" if self.maker.name in SECOND else "gather() takes the values there"
        )
        return (
            f"the positions that {self.maker.name}() gives enter the loss as numbers, in {self.taker.name}(): {instead}"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Calls that give positions."""
        return {"calls": float(self.asked)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The line that takes the positions."""
        if self.maker is None:
            return ()
        return (Statement(self.why, self.maker.site, "positions", self.numbers, "target-construction"),)


def ask(recorded: Recorded) -> Positions:
    """Follow the positions. Raises NotApplicable where no call gives any."""
    program = recorded.first.program
    made = list(_made(program))
    if not made:
        raise NotApplicable("no call of the step gives the place of a maximum")
    values = recorded.first.values()
    found = ((maker, taker) for maker, place in made if (taker := _taker(program, place, values)) is not None)
    return Positions(len(made), *next(found, (None, None)))


def _made(program: Program) -> Iterator[tuple[Call, Value]]:
    for call in program.calls:
        if call.name in ONLY:
            yield call, Value(call.outs[0])
        elif call.name in SECOND and len(call.outs) > 1:
            yield call, Value(call.outs[1])


def _taker(program: Program, place: Value, values: Values) -> Call | None:
    """The first arithmetic with floating-point results that reads a position, or the same numbers in another shape."""
    waiting = [place]
    while waiting:
        for call in program.users(waiting.pop()):
            if call.op.kind == "shape":
                waiting += map(Value, call.outs)
            elif call.op.kind == "arithmetic" and values[call.outs[0]].is_floating_point():
                return call
    return None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
states, later = torch.randn(600, 6), torch.randn(600, 6)
actions, rewards = torch.randint(0, 3, (600, 1)), torch.randn(600)
net, target = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3)), nn.Linear(6, 3)
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(3):
    for rows in torch.randperm(600).split(60):
        with torch.no_grad():
            wanted = rewards[rows] + 0.9 * target(later[rows]).max(1)[{which}]
        loss = nn.functional.smooth_l1_loss(net(states[rows]).gather(1, actions[rows]).squeeze(1), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(which=1)
QUIET = _SCRIPT.format(which=0)
