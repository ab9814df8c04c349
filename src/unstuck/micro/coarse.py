"""Whether data have lost their differences to single precision.

## What it asks

Does the preparation compute with numbers so large that float32 holds only few of those between the smallest and the
largest?

## How

While the first batches are made, arithmetic on columns of numbers above 2 to the power of 25 is looked at: how far
apart are neighbouring numbers of single precision there, and how many such steps is a standard deviation?

## What it costs

Nothing is run.

## What is healthy

Numbers that vary by thousands of steps. A time in seconds since 1970 is a multiple of 128 in float32: subtract the
first one, or take what is needed of it (the hour, the phase) while it is an integer or in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import Statement
from unstuck.micro.step import Recorded
from unstuck.tape.found_lines import Coarse as Line

COST = 0


@dataclass(frozen=True)
class Coarse:
    """The lines."""

    lines: tuple[Line, ...]

    @property
    def why(self) -> str:
        """Each line."""
        return "; ".join(map(_said, self.lines)) or "no arithmetic on data has lost their differences to float32"

    @property
    def numbers(self) -> dict[str, float]:
        """The count."""
        return {"lines": float(len(self.lines))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The first line only: later lines compute with the same numbers."""
        return tuple(Statement(_said(n), n.site, "coarse", {"step": n.step}) for n in self.lines[:1])


def ask(recorded: Recorded) -> Coarse:
    """Read what the recording found."""
    return Coarse(recorded.tape.facts.coarse)


def _said(line: Line) -> str:
    return (
        f"numbers near {line.largest:.4g} are rounded to multiples of {line.step:g}, which is all that float32 knows "
        f"there; they vary by {line.spread:.3g} over {line.rows} rows: subtract an offset before they become float32"
    )


_SCRIPT = """
import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(0)
seconds = 1_700_000_000 + np.cumsum(rng.integers(15, 26, 800))
level = np.sin(2 * np.pi * seconds / 240) + rng.normal(0, 0.1, 800)
times = torch.tensor({times}, dtype=torch.float32)
y = torch.tensor(level, dtype=torch.float32)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(10):
    for rows in torch.randperm(800).split(40):
        phase = 2 * torch.pi * times[rows].double() / 240
        x = torch.stack([phase.sin(), phase.cos()], 1).float()
        loss = nn.functional.mse_loss(model(x).squeeze(1), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(times="seconds")
QUIET = _SCRIPT.format(times="seconds - 1_700_000_000")
