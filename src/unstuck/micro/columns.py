"""Whether each output of a row is an answer of its own.

## What it asks

Are two of the numbers that the network answers for a row always the same, while their targets differ?

## How

The last recorded batch is run at the first weights and at those at the end of the run. Two columns of the output that
are equal at both, and are not the same for all rows, are one answer. Where the same layer with the same input is found
twice in the step, the line is named on which it was constructed.

## What it costs

Two forwards of the recorded step.

## What is healthy

No two columns are equal. Heads that are copied into a list as one object (`[head] * tasks`) share every weight, and all
tasks get one answer.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import last_weights
from unstuck.micro.dependence import SAME, spread
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task, main_program
from unstuck.signals.without_dropout import without_dropout
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Value
from unstuck.tape.site import Site

COST = 2
FEWEST = 8
"""Rows of the batch."""
MOST = 256
"""Columns that are compared."""


@dataclass(frozen=True)
class Columns:
    """How many columns the output has, and how many of them are the same as another one."""

    columns: int
    equal: int
    site: Site | None = None
    shared: str = ""
    """A weight that computes several of them."""

    @property
    def why(self) -> str:
        """How many are equal."""
        if not self.equal:
            return f"the {self.columns} columns of the output differ"
        said = f"{self.equal} of the {self.columns} columns of the output are equal for every row"
        said = f"{said}, at the first weights and at the end"
        if self.shared:
            said = f"{said}: {self.shared} computes several of them; is one module listed more than once?"
        return said

    @property
    def numbers(self) -> dict[str, float]:
        """Both counts."""
        return {"columns": float(self.columns), "equal": float(self.equal)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That columns are equal."""
        return (Statement(self.why, self.site, "columns", self.numbers),) if self.equal else ()


def ask(recorded: Recorded) -> Columns:
    """Compare the columns. Raises NotApplicable where the output is no table, or the targets have no columns."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    number, task = main_program(recorded.tape), Task.read(recorded.tape)
    at = max(i for i, p in enumerate(recorded.tape.passes) if p.program == number)
    step = recorded.step(at)
    if task.output is None or task.target is None:
        raise NotApplicable("which values are the output and its targets is not known")
    step = step.with_(program=without_dropout(step.program))
    end, wanted = last_weights(recorded, step), step.outside[task.target]
    outs = step.values({task.output})[task.output]
    if outs.dim() != 2 or end is None or len(outs) < FEWEST or not 1 < outs.shape[1] <= MOST:
        raise NotApplicable("the output is no table of several columns")
    lasts = step.with_(weights=end).values({task.output})[task.output]
    alike = _alike(outs) & _alike(lasts)
    if wanted.shape == outs.shape:
        alike &= ~_alike(wanted)
    equal = int(alike.any(0).sum())
    if not equal:
        return Columns(outs.shape[1], 0)
    weight, site = _shared(recorded.tape, step, task.output)
    maker = step.program.maker(Value(task.output))
    return Columns(outs.shape[1], equal, site or (maker.site if maker is not None else None), weight)


def _alike(table: Tensor) -> Tensor:
    """(columns, columns) whether two columns are equal, and not the same for all rows."""
    columns = table.detach().double().T
    size = max(1.0, float(columns.square().mean().sqrt()))
    same = torch.cdist(columns, columns, p=float("inf")) <= SAME * size
    lively = torch.tensor([spread(column) > SAME for column in columns])
    return same & lively[:, None] & lively[None] & ~torch.eye(len(columns), dtype=torch.bool)


def _shared(tape: Tape, step: Step, output: int) -> tuple[str, Site | None]:
    """The weight of the last layer that is applied twice to the same input, and where it was constructed."""
    seen, same = dict[tuple[object, ...], Call](), dict[int, int]()
    found: Call | None = None
    for call in step.program.leading_to(Value(output)):
        read = tuple(Value(same[r.id]) if isinstance(r, Value) else r for r in call.refs())
        first = seen.setdefault((call.function, *read), call)
        found = call if first is not call and call.weights() else found
        same.update(zip(call.outs, first.outs, strict=False))
    if found is None:
        return "", None
    name = found.weights()[0]
    made = next((p.made for p in tape.parameters if p.name == name), None)
    return name, made or found.site


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12)
y = (x[:, :3] > 0).float()


class Tasks(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(12, 32), nn.ReLU())
        self.heads = nn.ModuleList({heads})

    def forward(self, x):
        hidden = self.trunk(x)
        return torch.cat([head(hidden) for head in self.heads], 1)


model = Tasks()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(heads="[nn.Linear(32, 1)] * 3")
QUIET = _SCRIPT.format(heads="nn.Linear(32, 1) for _ in range(3)")
