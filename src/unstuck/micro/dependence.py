"""Whether the output depends on the input.

## What it asks

Do different rows get different answers, from the first weights and from the last?

## How

The recorded batch is run at the first weights and at those at the end of the run; the spread of the outputs over the
rows is compared with their size. Where all rows get one answer, the first call on the way that makes them equal is
looked for.

## What it costs

Two forwards of the recorded step.

## What is healthy

Rows get different answers. One and the same answer for all, at the end of the run, is what a network gives whose units
are dead or saturated, whose signal is cut off, or which has nothing to learn from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import last_weights
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Values
from unstuck.tape.program import Call, Outside, Ref, Value
from unstuck.tape.site import Site

COST = 2
SAME = 1e-4
"""Spread over the rows, relative to the size of the outputs (or to 1, where that is more): a hundred times what float32
rounds by in a network of a few layers."""
FEWEST = 4
"""Rows of the batch."""


@dataclass(frozen=True)
class Dependence:
    """Spread of the outputs over the rows, relative to their size."""

    first: float
    last: float | None
    site: Site | None = None
    """Where the rows become equal, if they do; else where the output is made."""
    lost: str = ""
    """The call there ("" where the rows do not become equal)."""
    alike: bool = False
    """The rows are equal as they enter."""

    @property
    def why(self) -> str:
        """Both spreads."""
        last = f", {self.last:.3g} at the end" if self.last is not None else ""
        return f"the outputs differ between rows by {self.first:.3g} of their size at first{last}"

    @property
    def numbers(self) -> dict[str, float]:
        """Both spreads."""
        return {"first": self.first, **({"last": self.last} if self.last is not None else {})}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That all rows get the same answer at the end."""
        if self.last is None or self.last > SAME:
            return ()
        when = "from the first step on" if self.first <= SAME else "at the end of the run"
        said = f"every row of the batch gets the same output {when}: it does not depend on the input"
        if self.alike:
            said = f"{said}; the rows are equal as they enter"
        elif self.lost:
            said = f"{said}; {self.lost}() makes the rows equal"
        return (Statement(said, self.site, "dependence", self.numbers, "input-degenerate" if self.alike else ""),)


def ask(recorded: Recorded) -> Dependence:
    """Compare the rows' outputs. Raises NotApplicable where the output is not known or there are too few rows."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    number, task = main_program(recorded.tape), Task.read(recorded.tape)
    at = max(i for i, p in enumerate(recorded.tape.passes) if p.program == number)
    step = recorded.step(at)
    if task.output is None:
        raise NotApplicable("which value is the output is not known")
    if any(call.name.startswith("dropout") for call in step.program.calls):
        raise NotApplicable("its dropout makes every row's output different")
    outs = step.values({task.output})[task.output]
    if outs.dim() == 0 or outs.shape[0] < FEWEST:
        raise NotApplicable(f"the batch has fewer than {FEWEST} rows")
    end = last_weights(recorded, step)
    values = step.with_(weights=end).values() if end is not None else {}
    last = spread(values[task.output]) if values else None
    maker = step.program.maker(Value(task.output))
    if last is None or last > SAME:
        return Dependence(spread(outs), last, maker.site if maker is not None else None)
    call, alike = _lost(step, values, task.output, outs.shape[0])
    call = call or maker
    return Dependence(spread(outs), last, call.site if call else None, call.name if call and not alike else "", alike)


def _lost(step: Step, values: Values, output: int, rows: int) -> tuple[Call | None, bool]:
    """The first call on the way to an output that makes equal what differed between the rows; and whether all that
    enters is equal already (then it is the first call that reads it)."""
    way = step.program.leading_to(Value(output))
    told: dict[Ref, Tensor] = {Value(n): v for n, v in values.items()}
    told |= {Outside(n): t for n, t in enumerate(step.outside)}
    differs = {ref: _differs(value, rows) for ref, value in told.items()}
    entering = [(call, differs[r]) for call in way for r in call.refs() if isinstance(r, Outside)]
    known = [(call, one) for call, one in entering if one is not None]
    if known and not any(one for _, one in known):
        return known[0][0], True
    equal = (c for c in way if differs[Value(c.outs[0])] is False and any(differs.get(r) for r in c.refs()))
    return next(equal, None), False


def _differs(value: Tensor, rows: int) -> bool | None:
    """Whether a tensor differs along its first axis of that length; None where it has none, or holds no numbers."""
    axis = next((n for n, length in enumerate(value.shape) if length == rows), None)
    if axis is None or value.dtype == torch.bool:
        return None
    return spread(value.movedim(axis, 0)) > SAME


def spread(outs: Tensor) -> float:
    """Largest standard deviation over the rows, relative to the outputs' root mean square or 1."""
    rows = outs.detach().double().flatten(1) if outs.dim() > 1 else outs.detach().double()[:, None]
    size = max(1.0, float(rows.square().mean().sqrt()))
    return float(torch.std(rows, 0).max()) / size


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12)
y = (x[:, 0] > 0).long()
model = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 2))
nn.init.constant_(model[0].bias, {bias})
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(bias=-50.0)
QUIET = _SCRIPT.format(bias=0.0)
