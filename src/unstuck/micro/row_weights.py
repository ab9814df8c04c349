"""Whether a number for each row reaches its own row.

## What it asks

Where the loss joins a mean or sum over the rows with a tensor that has a number for each row (returns, weights,
targets), does it matter which number belongs to which row?

## How

Such a join is looked for in the recorded step; the tensor has no gradient. Its rows are then put into the opposite
order, and the gradients of all weights are taken again.

## What it costs

Two backwards.

## What is healthy

The gradients change. Where they do not, the rows were summed before their numbers were applied: every row gets the same
share of every number. Multiply row by row first, and take the mean afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step
from unstuck.tape.program import Call, Outside, Program, Ref, Value

COST = 2
FEWEST = 4
"""Rows."""
CLOSE = 1e-5
"""Largest change of a gradient, relative to its size, that rounding makes."""


@dataclass(frozen=True)
class RowWeights:
    """A call that joins what was summed over rows with a tensor that has a number for each."""

    joined: int
    """Calls of that kind."""
    call: Call | None = None
    reduced: Call | None = None
    rows: int = 0

    @property
    def why(self) -> str:
        """What is lost, and where."""
        if self.call is None or self.reduced is None:
            return "where values of rows meet a reduction, the gradients depend on which value belongs to which row"
        line = f" in line {self.reduced.site.line}" if self.reduced.site is not None else ""
        return (
            f"{self.reduced.name}(){line} reduces the {self.rows} rows before {self.call.name}() applies a value for "
            f"each row: no gradient depends on which value belongs to which row"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The rows."""
        return {"calls": float(self.joined), "rows": float(self.rows)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That a row does not get its own number."""
        return (Statement(self.why, self.call.site, "row-weights", self.numbers),) if self.call is not None else ()


def ask(recorded: Recorded) -> RowWeights:
    """Look for such a join. Raises NotApplicable where there is none."""
    step = recorded.first
    found = list(_joins(step))
    if not found:
        raise NotApplicable("no tensor with a number for each row meets a sum over the rows")
    lost = next((one for one in found if not _matters(step, one)), None)
    return RowWeights(len(found), lost.call, lost.reduced, lost.rows) if lost is not None else RowWeights(len(found))


class _Join(NamedTuple):
    """Arithmetic on one number that rows were reduced to, and on what holds as many numbers as there were rows."""

    call: Call
    reduced: Call
    held: Ref
    rows: int


def _joins(step: Step) -> Iterator[_Join]:
    told, program, flows = dict[Ref, Tensor](), step.program, step.flows()
    told |= {Value(n): v for n, v in step.values().items() if n not in flows}  # what has a gradient is no weight
    told |= {Outside(n): t for n, t in enumerate(step.outside)}
    for call in program.calls:
        refs = call.refs() if call.op.kind == "arithmetic" else ()
        for held, other in (refs, refs[::-1]) if len(refs) == 2 else ():
            rows = _rows(told.get(held))
            reduced = _reduced(program, other, rows) if rows >= FEWEST else None
            if reduced is not None:
                yield _Join(call, reduced, held, rows)


def _rows(tensor: Tensor | None) -> int:
    """How many rows a tensor has a number for; 0 where it holds something else."""
    if tensor is None or not tensor.is_floating_point() or tensor.dim() == 0 or len(tensor) < tensor.numel():
        return 0
    return len(tensor)


def _reduced(program: Program, value: Ref, rows: int) -> Call | None:
    """The call that made one number of so many, up to a factor or a sign."""
    while (maker := program.maker(value)) is not None and maker.shape in ((), (1,)):
        given = maker.value()
        before = program.maker(given)
        if given is None or before is None:
            return None
        if before.shape not in ((), (1,)):
            return maker if maker.op.kind == "reduction" and torch.Size(before.shape).numel() == rows else None
        value = given
    return None


def _matters(step: Step, join: _Join) -> bool:
    """Whether any gradient changes when the numbers of the rows stand in the opposite order."""
    program, out = step.program, step.program.fresh()
    turned = Call("torch.flip", (join.held, (0,)), {}, (out,), join.call.sites, join.call.grad)
    other = program.before(join.call, turned).redirected(join.held, Value(out), (join.call,))
    one, two = step.backward().gradients, step.with_(program=other).backward().gradients
    return any(_differ(one[name], two[name]) for name in one)


def _differ(one: Tensor, two: Tensor) -> bool:
    return float((one - two).abs().max()) > CLOSE * max(float(one.abs().max()), 1e-12)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
states = torch.randn(400, 6)
best = states[:, :3].argmax(1)
policy = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
for step in range(60):
    rows = torch.randint(0, 400, (32,))
    dist = torch.distributions.Categorical(logits=policy(states[rows]))
    action = dist.sample()
    reward = (action == best[rows]).float() - 0.3
    log_probs = dist.log_prob(action)
    loss = -({joined}).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, reward.mean().item())
"""

FIRES = _SCRIPT.format(joined="log_probs.mean() * reward")
QUIET = _SCRIPT.format(joined="log_probs * reward / 32 + 0.01 * log_probs.mean()")
