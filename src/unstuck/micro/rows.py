"""Whether the rows of a batch are independent of each other.

## What it asks

Does the network's output for one row depend on what stands in another row of the same batch, and which call mixes them?

## How

One row of the recorded batch gets the contents of another, in every input, and the step is run again at its first
weights. The outputs of the other rows must not change. Where they do, the calls are gone through in order: the first
one whose result changes in another row mixes them. What batch normalisation does in training mode is put back before
the calls behind it are looked at.

## What it costs

Two forwards of the recorded step.

## What is healthy

Outputs depend on their own row. Batch normalisation mixes rows by design; so does a network over a graph (a product
with a matrix of the batch's rows, or a choice of rows by number), and one whose batch is a single sequence: what is
told of these is a fact and no fault. Nothing is told of rows that are the steps of one sequence: the input of each is
the target of the one before, or the loss takes one sequence after another and a layer runs along its rows. What the
loss does with the outputs of several rows is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step
from unstuck.micro.steps_of_sequences import are_steps, follow
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Way, walk
from unstuck.tape.program import Call, Outside

COST = 2
SEEN = 0.01
"""Change in other rows, relative to that in the row that was changed, from which on rows are mixed: kernels for other
shapes round differently by 1e-5 or so."""
FEWEST = 3
"""Rows of a batch."""
FAULTS = {"softmax": "softmax-dim", "log_softmax": "softmax-dim", "multi_head_attention_forward": "axes-swapped"}
"""What rules call it where one of these calls mixes rows; recurrent layers too."""


@dataclass(frozen=True)
class Rows:
    """Whether rows are mixed, and by which call."""

    mixed: bool
    call: Call | None = None
    changed: int = 0
    """The row whose input was changed."""
    other: int = 0
    """The row whose output changed most."""
    share: float = 0.0
    """By how much, relative to the changed row's own output."""
    meant: bool = False
    """The call takes the rows of others by a matrix or by numbers from outside, as networks over graphs do."""

    @property
    def why(self) -> str:
        """Which row depends on which."""
        if not self.mixed:
            return "the output for each row depends on its own input only"
        by = f": rows of the batch are mixed by {self.call.name}()" if self.call is not None else ""
        return f"the output for row {self.other} depends on the input of row {self.changed}{by}"

    @property
    def numbers(self) -> dict[str, float]:
        """The change in the other row, relative to that in the row itself."""
        return {"change": self.share} if self.mixed else {}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That rows are mixed, where nobody means it."""
        if not self.mixed or self.meant or self.call is None:
            return ()
        recurrent = "axes-swapped" if self.call.op.kind == "recurrent" else ""
        fault = FAULTS.get(self.call.name, recurrent)
        return (Statement(self.why, self.call.site, "rows", self.numbers, fault),)


def ask(recorded: Recorded) -> Rows:
    """Change one row. Raises NotApplicable where it is not known which outputs belong to which rows."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    number, task = main_program(recorded.tape), Task.read(recorded.tape)
    at = next(i for i, p in enumerate(recorded.tape.passes) if p.program == number)
    step = recorded.step(at)
    rows = rows_of(task, step)
    if rows < FEWEST:
        raise NotApplicable("which outputs belong to which rows is not known")
    changed = other_row(step, rows, task.slots)
    if changed is None:
        raise NotApplicable("no input has a row for each target")
    found = _compared(step, changed, task, rows)
    if found.mixed and (follow(step, task, rows) or are_steps(step, task, rows)):
        raise NotApplicable("its rows are the steps of one sequence")
    return found


def rows_of(task: Task, step: Step) -> int:
    """The rows of the batch, known from targets of one number (or vector) each; 0 where they are not."""
    if task.target is None or task.output is None:
        return 0
    target, maker = step.outside[task.target], next(c for c in step.program.calls if task.output in c.outs)
    alike = target.dim() and maker.shape and maker.outs[0] == task.output and maker.shape[0] == target.shape[0]
    return target.shape[0] if alike else 0


def other_row(step: Step, rows: int, left: tuple[int, ...]) -> Step | None:
    """The step with the first row's contents taken from the last, in every input whose rows lie along one axis."""
    changed = step
    for slot, tensor in enumerate(step.outside):
        axes = [axis for axis, size in enumerate(tensor.shape) if size == rows]
        # A square of rows says how they are joined.
        if slot in left or len(axes) != 1 or axes[0] > 1 or tensor.is_sparse:
            continue
        turned = tensor.clone()
        place = turned.movedim(axes[0], 0)
        place[0] = place[-1]
        if not torch.equal(turned, tensor):
            changed = changed.given(slot, turned)
    return changed if changed is not step else None


def _compared(step: Step, changed: Step, task: Task, rows: int) -> Rows:
    one = step.values()
    mixing: Call | None = None
    with torch.no_grad(), changed.drawing():
        for call, values in walk(changed.program, changed.weights, changed.outside, {}, Way(changed.device)):
            for out in call.outs:
                if out not in values or not values[out].is_floating_point():
                    continue
                share, other = spread(one[out], values[out], rows)
                if call.name == "batch_norm":  # however little: what several of them let through adds up
                    values[out] = _put_back(one[out], values[out]) if share > 0 else values[out]
                elif share > SEEN and mixing is None:
                    mixing = call
                if out == task.output:
                    return Rows(share > SEEN, mixing or call, 0, other, share, _meant(step, mixing or call, rows))
    raise NotApplicable("the output was not reached")


def _put_back(before: Tensor, after: Tensor) -> Tensor:
    """The result of a normalisation with all rows but the first as they were."""
    kept = before.clone()
    kept[0] = after[0]
    return kept


def spread(before: Tensor, after: Tensor, rows: int) -> tuple[float, int]:
    """How much other rows than the first change, relative to the largest change, and which does most; at the axis along
    which the rows may lie for which that is least (0 where there is none)."""
    change = (after - before).abs()
    top = float(change.max()) if change.numel() else 0.0
    if not top > 0:
        return 0.0, 0
    found = [part.flatten(1).amax(1) for part in _layouts(change, rows)]
    shares = [(float(part[1:].max()) / top, 1 + int(part[1:].argmax())) for part in found]
    return min(shares, default=(0.0, 0))


def _layouts(tensor: Tensor, rows: int) -> Iterator[Tensor]:
    """The tensor with an axis first along which the rows of the batch may lie."""
    for axis, size in enumerate(tensor.shape):
        if size == rows:
            yield tensor.movedim(axis, 0).reshape(rows, -1)
        elif size % rows == 0 and size:
            turned = tensor.movedim(axis, 0)
            yield turned.reshape(rows, -1)
            yield turned.reshape(size // rows, rows, -1).movedim(1, 0).reshape(rows, -1)


def _meant(step: Step, call: Call, rows: int) -> bool:
    """Whether rows are joined by what enters the step: a matrix between rows, or their numbers."""
    for ref in call.refs():
        tensor = step.outside[ref.slot] if isinstance(ref, Outside) else None
        if tensor is not None and (tensor.shape[-2:] == (rows, rows) or not tensor.is_floating_point()):
            return True
    return False


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 10)
y = (x[:, 0] * x[:, 1] > 0).long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Linear(10, 32), nn.Linear(32, 2)

    def forward(self, x):
        h = torch.relu(self.inner(x))
        h = h / h.norm({axis})
        return self.outer(h)


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(8):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(axis="")
QUIET = _SCRIPT.format(axis="dim=1, keepdim=True")
