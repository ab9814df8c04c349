"""Whether the rows of a batch are different rows.

## What it asks

How many different rows does a batch hold, and how many do all of the recorded batches hold together?

## How

The rows of all inputs together (a picture and its noise level, the ids of a user and a film beside the hour) are
compared bit for bit, within each of the first BATCHES batches and over all of them.

## What it costs

Nothing is run.

## What is healthy

Nearly all rows of a batch differ. A sampler that draws the few rows of a rare class again and again repeats some. Where
a batch is made of a few rows that occur again and again, the sampler was given the wrong numbers, or a memory holds one
and the same array many times over. Of inputs that can take a few values only (states of a grid, words), nothing is
said.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Outside, Program, leaves
from unstuck.tape.site import Site

COST = 0
BATCHES, FEWEST = 32, 4
"""Batches that are looked at, and those without which nothing is said."""
ROWS = 8
"""Rows of a batch."""
SHARE = 0.5
"""Share of different rows in a batch below which it is told: of rows drawn with replacement from as many as the batch
has, 0.63 are different."""
FREE = 0.5
"""Share of the input's numbers that are no whole numbers: two rows of such numbers are not equal by chance."""


@dataclass(frozen=True)
class SameRows:
    """How many different rows the batches hold."""

    rows: int
    """Of a batch."""
    different: float
    """Of these; median over the batches."""
    together: int
    """Different rows in all of the batches."""
    batches: int
    site: Site | None = None

    @property
    def why(self) -> str:
        """The counts."""
        return (
            f"a batch of {self.rows} rows holds {self.different:g} different ones; "
            f"{self.batches} batches hold {self.together}"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The counts by name."""
        return {"rows": float(self.rows), "different": self.different, "in all batches": float(self.together)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That rows are repeated."""
        if self.different >= SHARE * self.rows:
            return ()
        said = f"{self.why}: look at the sampler, and at whether stored rows share their memory"
        return (Statement(said, self.site, "same-rows", self.numbers, "data-mutated"),)


def ask(recorded: Recorded) -> SameRows:
    """Count the rows. Raises NotApplicable where no input has rows of numbers that are not whole."""
    tape, number = recorded.tape, main_program(recorded.tape)
    passes = [p for p in tape.passes if p.program == number][:BATCHES]
    task = Task.read(tape, number)
    others = {*tape.programs[number].states, *(task.slots if task.target is not None else ())}
    slots = _inputs(tape, passes[0].outside, others)
    keys = dict.fromkeys(tuple(p.outside[slot] for slot in slots) for p in passes)
    batches = [b for b in ([tape.tensors[key] for key in several] for several in keys) if _rows(b) >= ROWS]
    if len(batches) < FEWEST:
        raise NotApplicable(f"fewer than {FEWEST} different batches of {ROWS} rows were recorded")
    counts = [len(_different(b)) for b in batches]
    together = set().union(*(_different(b) for b in batches))
    site = _reader(tape.programs[number], slots[0])
    return SameRows(_rows(batches[0]), median(counts), len(together), len(batches), site)


def _inputs(tape: Tape, outside: tuple[str, ...], others: Collection[int]) -> list[int]:
    """The inputs that have a row for each of the batch: the largest of free numbers, then whatever enters beside it."""
    tensors = [tape.tensors[key] for key in outside]
    rows = [n for n, t in enumerate(tensors) if t.dim() > 0 and len(t) >= ROWS and n not in others]
    free = [n for n in rows if tensors[n].dim() > 1 and tensors[n].is_floating_point() and _free(tensors[n])]
    if not free:
        raise NotApplicable(f"no input has {ROWS} rows of numbers that are not whole")
    first = max(free, key=lambda n: tensors[n].numel())
    return [first, *(n for n in rows if n != first and len(tensors[n]) == len(tensors[first]))]


def _rows(inputs: list[Tensor]) -> int:
    """Rows of a batch; 0 where its inputs differ in them."""
    return len(inputs[0]) if len({len(t) for t in inputs}) == 1 else 0


def _free(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all()) and float((tensor != tensor.round()).double().mean()) > FREE


def _different(inputs: list[Tensor]) -> set[bytes]:
    rows = torch.cat([t.detach().cpu().reshape(len(t), -1).double() for t in inputs], 1).numpy()
    return {row.tobytes() for row in rows}


def _reader(program: Program, slot: int) -> Site | None:
    reads = lambda c: Outside(slot) in leaves((c.args, c.kwargs))
    first: Call | None = next((c for c in program.calls if reads(c)), None)
    return first.site if first is not None else None


_SCRIPT = """
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

torch.manual_seed(0)
x = torch.randn(600, 6)
y = (x[:, 0] + 0.3 * x[:, 1] > 1).long()
weights = 1 / torch.bincount(y).float()
sampler = WeightedRandomSampler({weights}, 600)
model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(3):
    for given, wanted in DataLoader(TensorDataset(x, y), batch_size=40, sampler=sampler):
        loss = nn.functional.cross_entropy(model(given), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(weights="weights")
QUIET = _SCRIPT.format(weights="weights[y]")
