"""Whether data are joined with their own mean (or spread, or largest number) along another axis.

## What it asks

Does a line of the preparation reduce a tensor over an axis, and then subtract the result along that very axis, or
divide by it?

## How

The reductions of what the first batches are made of are followed to the arithmetic that reads them. Without `keepdim`,
`x.mean(1)` of (rows, steps) has an axis of rows, which arithmetic with x lays along the steps.

## What it costs

Nothing is run.

## What is healthy

`x.mean(1, keepdim=True)`, `x.mean(0)`, and means of a symmetric matrix. The lengths of both axes must agree for the
mistake to raise no error: a batch of 32 windows of 32 steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import Statement
from unstuck.micro.step import Recorded
from unstuck.tape.found_lines import Crossed as Line

COST = 0


@dataclass(frozen=True)
class Crossed:
    """The lines."""

    lines: tuple[Line, ...]

    @property
    def why(self) -> str:
        """Each line."""
        return "; ".join(map(_said, self.lines)) or "no reduction of data meets them along another axis"

    @property
    def numbers(self) -> dict[str, float]:
        """The count."""
        return {"lines": float(len(self.lines))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Each line."""
        return tuple(Statement(_said(n), n.site, "crossed", {"times": n.times}, "axes-swapped") for n in self.lines)


def ask(recorded: Recorded) -> Crossed:
    """Read what the recording found."""
    return Crossed(recorded.tape.facts.crossed)


def _said(line: Line) -> str:
    return (
        f"data of shape {list(line.shape)} are joined with their own reduction over axis {line.axis}, which lies along "
        f"another axis here ({line.times} times; both are of one length by chance): write `keepdim=True`"
    )


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
series = torch.randn(640, 1) * 5 + torch.randn(640, 16).cumsum(1)
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(640).split(16):
        x = series[rows]
        level = x.mean({kept})
        loss = nn.functional.mse_loss(model(x - level), (x - x[:, :1]).mean(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(kept="dim=1")
QUIET = _SCRIPT.format(kept="dim=1, keepdim=True")
