"""Whether a reshape of the data exchanges the lengths of two axes.

## What it asks

Does a line of the preparation give data of shape (a, b) the shape (b, a) by `view` or `reshape`?

## How

Reshapes of what the first batches are made of are looked at: the new shape has the same lengths in another order, and a
transposition to that shape would have given other numbers.

## What it costs

Nothing is run.

## What is healthy

`x.permute(0, 2, 1)`, `x.mT`, and reshapes that split an axis or join neighbouring ones. Where both axes are of one
length, or all numbers are equal, nothing can be seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import Statement
from unstuck.micro.step import Recorded
from unstuck.tape.found_lines import Relabelled as Line

COST = 0


@dataclass(frozen=True)
class Relabelled:
    """The lines."""

    lines: tuple[Line, ...]

    @property
    def why(self) -> str:
        """Each line."""
        return "; ".join(map(_said, self.lines)) or "no reshape of the data exchanges the lengths of its axes"

    @property
    def numbers(self) -> dict[str, float]:
        """The count."""
        return {"lines": float(len(self.lines))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Each line."""
        return tuple(Statement(_said(n), n.site, "relabelled", {}, "axes-swapped") for n in self.lines)


def ask(recorded: Recorded) -> Relabelled:
    """Read what the recording found."""
    return Relabelled(recorded.tape.facts.relabelled)


def _said(line: Line) -> str:
    return (
        f"{line.name}() from shape {list(line.before)} to {list(line.after)} exchanges the lengths of axes and leaves "
        "the numbers in their order, so that each new row is made of pieces of several old ones: use permute()"
    )


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
across, down = torch.meshgrid(torch.arange(12), torch.arange(8), indexing="ij")
model = nn.Conv2d(1, 2, 3, padding=1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(60):
    grid = torch.stack((across, down), 2).{moved}.float()
    shift = torch.rand(16, 8, 12)
    boxes = model(shift[:, None]).permute(0, 2, 3, 1) + grid
    wanted = torch.stack((down.T + shift, across.T - shift), 3)
    loss = nn.functional.mse_loss(boxes, wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(loss.item())
"""

FIRES = _SCRIPT.format(moved="view(1, 8, 12, 2)")
QUIET = _SCRIPT.format(moved="permute(1, 0, 2)")
