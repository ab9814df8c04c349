"""Whether class ids were averaged.

## What it asks

Were the class ids that a loss gets made by a call that takes means of neighbours, such as a resize?

## How

The calls that the first batches went through are on the tape. A call that makes fractions of whole numbers, and behind
which only casts and rounding follow, has mixed class ids: between class 0 and class 4 it makes the ids 1, 2 and 3.

## What it costs

Nothing is run.

## What is healthy

Masks are resized with `mode="nearest"`. Probabilities of classes may be averaged before an argmax.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.prepared import of
from unstuck.signals.task import Task, main_program
from unstuck.tape.found_lines import Prepared

COST = 1
FEWEST = 3
"""Classes: of two, the mean is none of a third."""
CHOOSING = {"argmax", "argmin", "one_hot", "where"}
"""Calls behind which numbers are other ids."""


@dataclass(frozen=True)
class Averaged:
    """The call that averaged the targets."""

    call: Prepared | None = None

    @property
    def why(self) -> str:
        """What was averaged, and where."""
        if self.call is None:
            return "the class ids have passed no call that averages them"
        low, high = self.call.before
        return (
            f"{self.call.name}() takes means of class ids ({low:g} to {high:g}), and a cast makes whole numbers of "
            'them again: at each border other classes arise; use mode="nearest" for ids'
        )

    @property
    def numbers(self) -> dict[str, float]:
        """How many calls there are."""
        return {"calls": float(self.call is not None)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That class ids were averaged."""
        return (Statement(self.why, self.call.site, "averaged", self.numbers),) if self.call is not None else ()


def ask(recorded: Recorded) -> Averaged:
    """Read the calls behind the targets. Raises NotApplicable unless they are ids of three classes or more."""
    tape = recorded.tape
    number, task = main_program(tape), Task.read(tape)
    if task.kind != "classes" or task.target is None or task.classes < FEWEST:
        raise NotApplicable("the targets are not ids of three classes or more")
    for call in of(tape, number, task.target):
        if call.averages:
            return Averaged(call)
        if call.name in CHOOSING:
            break
    return Averaged()


_SCRIPT = """
import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
masks = torch.zeros(60, 32, 32)
for mask in masks:
    row, column = torch.randint(0, 20, (2,)).tolist()
    mask[row : row + 10, column : column + 10] = torch.randint(1, 5, (1,)).item()
pictures = (masks + 0.3 * torch.randn(60, 32, 32))[:, None]
model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 5, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
small = F.interpolate(masks[:, None], size=(20, 20), mode="{mode}")[:, 0].long()
for epoch in range(4):
    for rows in torch.randperm(60).split(12):
        seen = F.interpolate(pictures[rows], size=(20, 20), mode="bilinear")
        loss = F.cross_entropy(model(seen), small[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(mode="bilinear")
QUIET = _SCRIPT.format(mode="nearest")
