"""Whether every row of the batch takes part in the loss.

## What it asks

Are there rows whose input cannot change the loss, whatever stands in them, and which call leaves them out?

## How

The first recorded batches are run at the first weights, and the loss is differentiated by every value of the step. Rows
whose gradient is exactly 0 in each of the batches are left out by their position, where a call that selects reads the
last value that has them: along the batch's axis, where the axis of classes, actions or positions was meant.

## What it costs

BATCHES forwards and backwards.

## What is healthy

Every row takes part. Rows that a mask, a margin or an ignored class leaves out are left out by their values. A network
over a graph may answer for some rows only and read the others: they take part through their neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.different_batches import different_batches
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task
from unstuck.tape.program import Call, Program, Value

COST = 8
BATCHES, FEWEST = 6, 3
"""Batches that are looked at, and those without which nothing is said."""
ROWS = 8
"""Rows of a batch."""
MOST = 0.5
"""Share of rows left out from which on it is told: the one or two at the edge of a window may be meant."""


@dataclass(frozen=True)
class LeftRows:
    """Rows of the batch that do not take part in the loss, and the call that leaves them out."""

    rows: int
    left: int = 0
    call: Call | None = None

    @property
    def why(self) -> str:
        """How many rows take part."""
        if self.call is None:
            return "every row of the batch takes part in the loss"
        kept = self.rows - self.left
        took = f"{self.call.name}() reads only {kept} of its {self.rows} rows"
        return f"the loss does not depend on {self.left} of the {self.rows} rows of the batch: {took}"

    @property
    def numbers(self) -> dict[str, float]:
        """Rows, and those that are left out."""
        return {"rows": float(self.rows), "left out": float(self.left)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The call that leaves rows out."""
        if self.call is None:
            return ()
        return (Statement(self.why, self.call.site, "left-rows", self.numbers, "axes-swapped"),)


def ask(recorded: Recorded) -> LeftRows:
    """Look for rows without a gradient. Raises NotApplicable for fewer than FEWEST different batches."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    met = different_batches(recorded, BATCHES)
    if len(met) < FEWEST:
        raise NotApplicable(f"fewer than {FEWEST} different batches of one shape were recorded")
    batch, task = {t.shape[0] for t in met[0].outside if t.dim()}, Task.read(recorded.tape)
    target = met[0].outside[task.target] if task.target is not None else torch.zeros(0)
    dead, *others = (_without_gradient(step, target.shape[0] if target.dim() else 0) for step in met)
    for zero in others:
        dead = {n: dead[n] & zero[n] for n in dead if n in zero and len(dead[n]) == len(zero[n])}
    return _found(met[0].program, {n: rows for n, rows in dead.items() if len(rows) in batch})


def _without_gradient(step: Step, rows: int) -> dict[int, Tensor]:
    """Per value with ROWS rows or more, which of them get a gradient of exactly 0. A value with as many `rows` as the
    target along another axis is a sequence with its steps first."""
    flows = {n: g for n, g in step.flows().items() if g.dim() and g.shape[0] >= ROWS}
    batched = {n: g for n, g in flows.items() if g.shape[0] == rows or rows not in g.shape[1:]}
    return {n: (g == 0).reshape(g.shape[0], -1).all(1) for n, g in batched.items()}


def _found(program: Program, dead: dict[int, Tensor]) -> LeftRows:
    first = next(iter(dead.values()), torch.zeros(0))
    for number, rows in reversed(dead.items()):
        left = int(rows.sum())
        if not MOST * len(rows) < left < len(rows):
            continue
        call = next(_readers(program, number), None)
        if call is None or call.op.kind != "choice" or not _upstream(dead, number):
            continue
        after = dead.get(call.outs[0])
        if after is not None and len(after) == len(rows) and int(after.sum()) >= left:
            continue  # it puts rows in another order, and none is lost there
        return LeftRows(len(rows), left, call)
    return LeftRows(len(first))


def _readers(program: Program, number: int) -> Iterator[Call]:
    return (c for c in program.calls if Value(number) in c.refs())


def _upstream(dead: dict[int, Tensor], number: int) -> bool:
    """Whether the same rows have no gradient in the first value with that many rows either."""
    rows = dead[number]
    first = next(d for d in dead.values() if len(d) == len(rows))
    return bool((first | ~rows).all())


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
states = torch.randn(600, 6)
actions = torch.randint(0, 3, (600,))
returns = (states[:, :3] * nn.functional.one_hot(actions, 3)).sum(1)
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(600).split(60):
        value = model(states[rows]).gather({axis}, actions[rows, None]).squeeze(1)
        loss = nn.functional.mse_loss(value, returns[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(axis=0)
QUIET = _SCRIPT.format(axis=1)
