"""Whether a state that is carried from step to step belongs to the rows that read it.

## What it asks

Does a step start from what the network made in the step before (a hidden state), though its rows are not those that
follow?

## How

A recorded step that reads a detached state also holds the calls that made it, of the batch before. Each row that comes
back in the recording shows whether it stands behind the same row as before: rows that are drawn or shuffled anew do
not.

## What it costs

Nothing is run.

## What is healthy

Nothing is carried between batches of shuffled rows: each starts from zeros. Text or a long series that is cut into
pieces in order may carry a state.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.task import main_program
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Program, Value

COST = 1
STEPS = 8
"""Pairs of steps that are looked at."""
FEWEST = 16
"""Rows that come back."""
KEPT = 0.1
"""Share of them that stand behind the same row as before, at most."""


@dataclass(frozen=True)
class Carried:
    """A state, and how often a row stands behind the same row as before."""

    again: int = 0
    share: float = 1.0
    call: Call | None = None
    """The first that reads the state."""

    @property
    def told(self) -> bool:
        """Whether the state belongs to other rows."""
        return self.call is not None and self.again >= FEWEST and self.share <= KEPT

    @property
    def why(self) -> str:
        """Whose state it is."""
        if not self.told or self.call is None:
            return f"a state is carried from step to step; {self.share:.0%} of the rows follow the same row as before"
        return (
            f"{self.call.name}() starts from the state that the step before left, of other rows: of {self.again} rows "
            f"that come back {self.share:.0%} stand behind the same row as before; start each batch of shuffled rows "
            "from a state of zeros"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Rows that come back, and the share of those with the same row before."""
        return {"rows again": float(self.again), "behind the same row": self.share}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That a state belongs to other rows."""
        return (Statement(self.why, self.call.site, "carried", self.numbers),) if self.told and self.call else ()


def ask(recorded: Recorded) -> Carried:
    """Look for a state. Raises NotApplicable where no step reads what the one before has made."""
    tape = recorded.tape
    number = main_program(tape)
    passes = [p for p in tape.passes if p.program == number]
    reader = _reader(tape.programs[number]) if _reach_back(passes) else None
    if reader is None:
        raise NotApplicable("no step reads what the network made in the step before")
    return Carried(*_followed(tape, passes), reader)


def _reach_back(passes: list[Pass]) -> bool:
    """Whether the batch of a step enters the next one as well, in another place: behind it stands a state."""
    pairs = list(itertools.pairwise(p.outside for p in passes[:STEPS]))
    return bool(pairs) and all(any(k in one and one.index(k) > n for n, k in enumerate(two)) for one, two in pairs)


def _reader(program: Program) -> Call | None:
    """The last call that joins a detached state, made with weights, with what enters."""
    states = {
        Value(out)
        for call in program.calls
        if call.op.cuts == "detached" and any(c.weights() for c in program.leading_to(Value(call.outs[0])))
        for out in call.outs
    }
    return next((c for c in reversed(program.calls) if states & set(c.refs())), None)


def _followed(tape: Tape, passes: list[Pass]) -> tuple[int, float]:
    """How many rows come back with another one before them known, and the share for which it is the same."""
    slot = _rows_slot(tape, passes)
    before: dict[bytes, bytes] = {}
    again = same = 0
    for one, other in itertools.pairwise(_keys(tape.tensors[p.outside[slot]]) for p in passes):
        for first, row in zip(one, other, strict=False):
            if row in before:
                again, same = again + 1, same + (before[row] == first)
            before[row] = first
    return again, same / again if again else 1.0


def _rows_slot(tape: Tape, passes: list[Pass]) -> int:
    """The slot that holds the most different rows over the first steps."""

    def kinds(slot: int) -> int:
        return len({row for p in passes[:4] for row in _keys(tape.tensors[p.outside[slot]])})

    slots = [s for s, key in enumerate(passes[0].outside) if tape.tensors[key].dim() > 1]
    return max(slots, key=kinds, default=0)


def _keys(tensor: Tensor) -> list[bytes]:
    if not tensor.dim() or not tensor.numel():
        return []
    return [row.tobytes() for row in tensor.reshape(len(tensor), -1).contiguous().view(torch.uint8).numpy()]


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12, 2)
y = (x[:, :4, 0].sum(1) > 0).long()
cells, head, state = nn.GRU(2, 16, batch_first=True), nn.Linear(16, 2), torch.zeros(1, 40, 16)
optimizer = torch.optim.Adam([*cells.parameters(), *head.parameters()], lr=0.01)
for epoch in range(4):
    for rows in torch.randperm(400).split(40):
        out, last = cells(x[rows], state)
        loss = nn.functional.cross_entropy(head(out[:, -1]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        {carried}
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(carried="state = last.detach()")
QUIET = _SCRIPT.format(carried="pass")
