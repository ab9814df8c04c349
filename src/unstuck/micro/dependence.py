"""Whether the output depends on the input.

## What it asks

Do different rows get different answers, from the first weights and from the last? Do some of the rows get one answer?

## How

The recorded batch is run at the first weights and at those at the end of the run; the spread of the outputs over the
rows is compared with their size. Where all rows get one answer, or from the first weights on at least PART of those
that differ as they enter, the first call on the way that makes them equal is looked for.

## What it costs

Two forwards of the recorded step.

## What is healthy

Rows get different answers. One and the same answer for all, at the end of the run, is what a network gives whose units
are dead or saturated, whose signal is cut off, or which has nothing to learn from. Where some rows have one answer
from the start on, what is read of them is not theirs: the padding behind the shorter sequences. An activation that
makes rows equal is left alone: few units are at rest for many rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import last_weights
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task, main_program
from unstuck.signals.without_dropout import without_dropout
from unstuck.tape.interpreter import Values
from unstuck.tape.program import Call, Outside, Ref, Value
from unstuck.tape.site import Site

COST = 2
SAME = 1e-4
"""Spread over the rows, relative to the size of the outputs (or to 1, where that is more): a hundred times what float32
rounds by in a network of a few layers."""
FEWEST = 4
"""Rows of the batch."""
PART = 0.25
"""Share of the rows: the longest of a batch of sequences are read to their ends, whatever is read of the others."""
MOST = 512
"""Rows of a batch that are compared with each other."""


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
    rows: int = 0
    equal: int = 0
    """Of the rows: those that get one output from the first weights on, though they differ as they enter."""

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
        """That all rows get the same answer at the end, or some of them all the time."""
        if self.equal:
            said = f"{self.equal} of {self.rows} different rows get the same output from the first step on"
            said = f"{said}: it does not depend on their inputs; {self.lost}() makes them equal"
            return (Statement(said, self.site, "dependence", {**self.numbers, "equal rows": float(self.equal)}),)
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
    step = step.with_(program=without_dropout(step.program))
    outs = step.values({task.output})[task.output]
    if outs.dim() == 0 or outs.shape[0] < FEWEST:
        raise NotApplicable(f"the batch has fewer than {FEWEST} rows")
    end = last_weights(recorded, step)
    values = step.with_(weights=end).values() if end is not None else {}
    last = spread(values[task.output]) if values else None
    maker = step.program.maker(Value(task.output))
    if last is None or last > SAME:
        some = _some(step, task, values) if values and spread(outs) > SAME else None
        return some or Dependence(spread(outs), last, maker.site if maker is not None else None)
    call, alike = _lost(step, values, task.output, outs.shape[0])
    call = call or maker
    return Dependence(spread(outs), last, call.site if call else None, call.name if call and not alike else "", alike)


def _lost(step: Step, values: Values, output: int, rows: int) -> tuple[Call | None, bool]:
    """The first call on the way to an output that makes equal what differed between the rows; and whether all that
    enters is equal already (then it is the first call that reads it)."""
    way = step.program.leading_to(Value(output))
    differs = {ref: _differs(value, rows) for ref, value in _told(step, values).items()}
    entering = [(call, differs[r]) for call in way for r in call.refs() if isinstance(r, Outside)]
    known = [(call, one) for call, one in entering if one is not None]
    if known and not any(one for _, one in known):
        return known[0][0], True
    return _equalising(way, differs), False


def _equalising(way: Iterable[Call], differs: Mapping[Ref, bool | None]) -> Call | None:
    """The first call whose result is the same for all rows, while one of its arguments is not."""
    return next((c for c in way if differs[Value(c.outs[0])] is False and any(differs.get(r) for r in c.refs())), None)


def _told(step: Step, values: Values) -> dict[Ref, Tensor]:
    told: dict[Ref, Tensor] = {Value(n): v for n, v in values.items()}
    return told | {Outside(n): t for n, t in enumerate(step.outside)}


def _differs(value: Tensor, rows: int, some: Tensor | None = None) -> bool | None:
    """Whether a tensor differs along its first axis of that length (there in `some` places); None where it has none,
    or holds no numbers."""
    axis = next((n for n, length in enumerate(value.shape) if length == rows), None)
    if axis is None or value.dtype == torch.bool:
        return None
    along = value.movedim(axis, 0)
    return spread(along if some is None else along[some]) > SAME


def _some(step: Step, task: Task, last: Values) -> Dependence | None:
    """The rows that get one output at both ends of the run though they differ as they enter, if they are many and
    no activation makes them equal."""
    assert task.output is not None
    first = step.values()
    outs, ends = first[task.output], last[task.output]
    rows = len(outs)
    others = step.program.states | set(_targets(task))
    entering = [t for n, t in enumerate(step.outside) if len(t.shape) and len(t) == rows and n not in others]
    if not entering or rows > MOST:
        return None
    given = torch.cat([t.detach().reshape(rows, -1).double() for t in entering], 1)
    one = _cluster(outs)
    some = one[_close(ends[one], ends[one[:1]])]
    different, equal = len(given.unique(dim=0)), len(given[some].unique(dim=0))
    if equal < max(FEWEST, PART * different):
        return None
    differs = {ref: _differs(value, rows, some) for ref, value in _told(step, first).items()}
    call = _equalising(step.program.leading_to(Value(task.output)), differs)
    if call is None or call.op.kind == "activation":
        return None
    return Dependence(spread(outs), spread(ends), call.site, call.name, rows=different, equal=equal)


def _targets(task: Task) -> tuple[int, ...]:
    return task.slots if task.target is not None else ()


def _cluster(outs: Tensor) -> Tensor:
    """The places of the rows that have the output which most rows have."""
    near = torch.stack([_close(outs, outs[n : n + 1]) for n in range(len(outs))])
    return near[near.sum(1).argmax()].nonzero()[:, 0]


def _close(outs: Tensor, one: Tensor) -> Tensor:
    """For each row whether its output is the given one, within rounding."""
    apart = (outs - one).detach().double().reshape(len(outs), -1).abs().amax(1)
    return apart <= SAME * max(1.0, float(outs.detach().double().square().mean().sqrt()))


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
