"""Whether the answer for a row depends on its place in the batch.

## What it asks

If the rows of a batch stood in another order, would each get the same answer?

## How

All that enters with a row for each target is moved on by one row, and the step is run again without dropout. Each
answer must have moved on with its row. Where it has not, the calls are gone through in order: the first whose result
has no axis along which it moved is where a row's place comes in.

## What it costs

Two forwards of the recorded step.

## What is healthy

The order of a batch is chance, and no answer depends on it. One that does was made with something that is numbered by
rows: an encoding of positions that is added along the batch's axis, or a table that is read by the row's number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.rows import FEWEST, SEEN, rows_of
from unstuck.micro.step import Recorded, Step, draws
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Way, walk
from unstuck.tape.model import Pass, Tape
from unstuck.tape.modes import ATTENTION, MULTI_HEAD, mode, switched
from unstuck.tape.program import Call, Program

COST = 2


@dataclass(frozen=True)
class PlaceInBatch:
    """Whether a row's place matters, and the call by which it does."""

    share: float
    """Largest change of an answer that moved with its row, relative to the spread of the answers."""
    call: Call | None = None

    @property
    def why(self) -> str:
        """Where the place comes in."""
        if self.call is None:
            return "the answer for a row is the same in every place of the batch"
        return f"the answer for a row depends on its place in the batch: {self.call.name}() brings the row's number in"

    @property
    def numbers(self) -> dict[str, float]:
        """The change, relative to the spread of the answers."""
        return {"change": self.share}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the place matters."""
        if self.call is None:
            return ()
        said = f"{self.why}; is the batch's axis taken for that of positions?"
        return (Statement(said, self.call.site, "place-in-batch", self.numbers, "axes-swapped"),)


def ask(recorded: Recorded) -> PlaceInBatch:
    """Move the rows on. Raises NotApplicable where it is not known what enters with the rows."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    number, task = main_program(recorded.tape), Task.read(recorded.tape)
    step = recorded.step(next(i for i, p in enumerate(recorded.tape.passes) if p.program == number))
    step = step.with_(program=_without_dropout(step.program))
    passes = [p for p in recorded.tape.passes if p.program == number]
    fixed = {slot for slot in range(len(step.outside)) if _fixed(recorded.tape, passes, slot)}
    rows = _entering(step, rows_of(task, step), fixed | set(task.slots if task.target is not None else ()))
    if rows < FEWEST:
        raise NotApplicable("which outputs belong to which rows is not known")
    if draws(step.program) or any(mode(c) and c.name != "batch_norm" for c in step.program.calls):
        raise NotApplicable("its calls draw random numbers")
    moved = _moved(step, rows, task, fixed)
    return _compared(step, moved, task, rows)


def _fixed(tape: Tape, passes: list[Pass], slot: int) -> bool:
    """Whether a slot holds the same at several passes."""
    first, *others = (tape.tensors[p.outside[slot]] for p in passes[:4])
    return all(o.shape == first.shape and torch.equal(o, first) for o in others)


def _entering(step: Step, rows: int, left: set[int]) -> int:
    """The rows of the batch; fewer than those of the output where a loss takes each step of a sequence for a row."""
    entering = [t for slot, t in enumerate(step.outside) if slot not in left and t.dim() > 1]
    if not rows or any(rows in t.shape[:2] for t in entering):
        return rows
    sizes = {len(t) for t in entering}
    return min(sizes) if len(sizes) == 1 and rows % min(sizes) == 0 else 0


def _without_dropout(program: Program) -> Program:
    while (call := next((c for c in program.calls if c.op.kind == "dropout"), None)) is not None:
        program = program.without(call)
    plain = lambda c: switched(c) if c.name in (ATTENTION, MULTI_HEAD) and mode(c) else c
    return msgspec.structs.replace(program, calls=tuple(plain(c) for c in program.calls))


def _moved(step: Step, rows: int, task: Task, fixed: set[int]) -> Step:
    """The step with everything that enters by rows, and is another at other passes, moved on by one."""
    moved = step
    for slot, tensor in enumerate(step.outside):
        axis = None if slot in fixed or tensor.numel() == 1 else _axis(tensor, rows, slot in task.slots)
        if axis is not None:
            moved = moved.given(slot, tensor.roll(1, axis))
    if all(moved.outside[n] is t for n, t in enumerate(step.outside) if n not in task.slots):
        raise NotApplicable("no input has a row for each target")
    return moved


def _axis(tensor: Tensor, rows: int, target: bool) -> int | None:
    """The axis of the rows; None for a target that has none. Raises NotApplicable for an input without."""
    axes = [axis for axis, size in enumerate(tensor.shape) if size == rows]
    if target and not axes:
        return None
    if len(axes) != 1 or axes[0] > 1 or tensor.is_sparse:
        raise NotApplicable("what enters the step has not one row for each target")
    return axes[0]


def _compared(step: Step, moved: Step, task: Task, rows: int) -> PlaceInBatch:
    one, culprit = step.values(), None
    with torch.no_grad():
        for call, values in walk(moved.program, moved.weights, moved.outside, {}, Way(moved.device)):
            for out in call.outs:
                if out not in values or not values[out].is_floating_point():
                    continue
                share = _share(one[out], values[out], rows)
                culprit = call if share > SEEN and culprit is None else culprit
                if out == task.output:
                    return PlaceInBatch(share, culprit if share > SEEN else None)
    raise NotApplicable("the output was not reached")


def _share(before: Tensor, after: Tensor, rows: int) -> float:
    """How far a result is from having moved on with its rows, relative to its spread; by the axis that fits best."""
    size = float((before - before.mean()).abs().max()) if before.numel() else 0.0
    if not size > 0 or before.shape != after.shape:
        return 0.0
    fits = [float((turned - after).abs().max()) / size for turned in (before, *_turned(before, rows))]
    return min(fits)


def _turned(tensor: Tensor, rows: int) -> Iterator[Tensor]:
    for axis, size in enumerate(tensor.shape):
        if size == rows:
            yield tensor.roll(1, axis)
        elif size and size % rows == 0:
            parts = tensor.unflatten(axis, (rows, size // rows))
            yield parts.roll(1, axis).flatten(axis, axis + 1)
            parts = tensor.unflatten(axis, (size // rows, rows))
            yield parts.roll(1, axis + 1).flatten(axis, axis + 1)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12, 6)
y = (x[:, :6, 0].sum(1) > x[:, 6:, 0].sum(1)).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("places", 2 * torch.randn(64, 1, 16))
        self.inner, self.outer = nn.Linear(6, 16), nn.Linear(16, 2)
        self.attention = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    def forward(self, x):
        h = self.inner(x)
        {added}
        return self.outer(self.attention(h).mean(1))


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(4):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(added="h = h + self.places[: h.shape[0]]")
QUIET = _SCRIPT.format(added="h = h + self.places[: h.shape[1]].transpose(0, 1)")
