"""Whether the step computes something that nothing uses.

## What it asks

Is there a line whose result no later call reads: a mask that is not applied, a term of the loss that is not added, a
new tensor of a call that was meant to change the old one? And one that assigns to a part of a copy which is thrown
away, as `x[rows][column] = 0` does where `rows` is a list, a mask or a tensor?

## How

In the first steps every torch call is watched. A value is used where a later call takes it, also one that only prints
it. A line is told of where all its values were freed unread; values that depend on weights and have no gradient are
left out (a score that is printed now and then). So is a line that makes several numbers with a gradient in each step,
of which only the last is used: terms of a loss that replace each other. An assignment is told of where nothing refers
to the tensor that it changes, and that is no view of another one.

## What it costs

Nothing is run.

## What is healthy

Everything the step makes from data, or with a gradient, is used.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

import torch

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.source.edits import CannotEdit, node_at
from unstuck.source.text import Place, Sources
from unstuck.tape.found_lines import LostWrite, Unread
from unstuck.tape.model import Tape

COST = 0
WITH_GRADIENT = "it has a gradient, and no later call reads it"
OF_DATA = "it is computed from data, and no later call reads it"
MAKING = (ast.Call, ast.Subscript, ast.BinOp, ast.Compare, ast.UnaryOp)
LONGEST = 48
"""Characters of an expression that is shown."""
TOLD = 3
"""Lines that are told of, at most."""


@dataclass(frozen=True)
class NeverUsed:
    """The lines whose results nothing uses, with what is said of each."""

    lines: tuple[tuple[Unread | LostWrite, str], ...]

    @property
    def why(self) -> str:
        """How many."""
        if not self.lines:
            return "everything that the first steps made, from data or with a gradient, was used"
        return "; ".join(f"line {one.site.line}: {said}" for one, said in self.lines[:TOLD])

    @property
    def numbers(self) -> dict[str, float]:
        """The count."""
        return {"lines": float(len(self.lines))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Each line."""
        said = self.lines[:TOLD]
        narrows = lambda one: isinstance(one, Unread) and not one.last_of
        return tuple(
            Statement(what, one.site, "never-used", {"times": one.times}, alone=narrows(one)) for one, what in said
        )


def ask(recorded: Recorded) -> NeverUsed:
    """Read what the recording found. Raises NotApplicable where functions with a backward of their own may read it."""
    tape = recorded.tape
    lost = tuple((one, said) for one in tape.facts.lost_writes if (said := _lost(tape, one)))
    if lost:
        return NeverUsed(lost)
    if any(p.own or "autograd.Function" in p.missing for p in tape.programs):
        raise NotApplicable("a torch.autograd.Function may use what no torch call does")
    return NeverUsed(tuple((one, _said(tape, one)) for one in tape.facts.unread))


def _said(tape: Tape, one: Unread) -> str:
    place = _place(tape, one)
    whole = place and place.page.statement(place.node)
    statement = whole if place and getattr(whole, "value", None) is place.node else None
    if isinstance(statement, ast.Expr) and hasattr(torch.Tensor, f"{one.name}_"):
        return (
            f"the result of `{one.name}` is thrown away ({one.times} times): it is a new tensor, and the one that it "
            f"is made of stays as it was; assign it, or call `{one.name}_`"
        )
    if one.last_of:
        code = _text(place, one)
        return (
            f"of the {one.last_of} numbers that {code} makes in each step only the last is used: the others have a "
            "gradient, and no later call reads them; are they to be added?"
        )
    subject = f"`{ast.unparse(statement.targets[0])}`" if isinstance(statement, ast.Assign) else _text(place, one)
    seen = f"(made {one.times} times, shape {list(one.shape)})"
    return f"{subject} is never used: {WITH_GRADIENT if one.gradient else OF_DATA} {seen}"


def _lost(tape: Tape, one: LostWrite) -> str:
    """What is said of an assignment to `a[i][j]`; nothing where the text has no such."""
    place = _place(tape, one, ast.Subscript)
    outer = place.node if place is not None else None
    if place is None or not isinstance(outer, ast.Subscript) or not isinstance(inner := outer.value, ast.Subscript):
        return ""
    if one.more > isinstance(place.page.statement(outer), ast.AugAssign):
        return ""  # a list holds it
    once = f"{ast.unparse(inner.value)}[{ast.unparse(inner.slice)}, {ast.unparse(outer.slice)}]"
    return (
        f"the assignment to `{place.code}` is lost ({one.times} times): `{ast.unparse(inner)}` is a copy, since its "
        f"index is a tensor, a list or a mask; index once, as in `{once}`"
    )


def _place(tape: Tape, one: Unread | LostWrite, *kinds: type[ast.expr]) -> Place | None:
    """The expression that makes it; None where it is not found."""
    try:
        return node_at(Sources(tape.sources, tape.script), one.site, *(kinds or MAKING))
    except CannotEdit:
        return None


def _text(place: Place | None, one: Unread) -> str:
    """The expression, or the name of torch's function where it is long."""
    code = place.code if place is not None else ""
    return f"`{code}`" if 0 < len(code) <= LONGEST and "\n" not in code else f"the result of `{one.name}`"


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randint(1, 30, (400, 12))
lengths = torch.randint(2, 13, (400,))
y = (x * (torch.arange(12)[None] < lengths[:, None])).amax(1).float() / 30
table, rate = nn.Embedding(30, 16), nn.Linear(16, 1)
model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 1))
weights = [*table.parameters(), *rate.parameters(), *model.parameters()]
optimizer = torch.optim.Adam(weights, lr=0.01)
for step in range(60):
    rows = torch.randint(0, 400, (64,))
    hidden = table(x[rows])
    scores = rate(hidden).squeeze(2)
    beyond = torch.arange(12)[None] >= lengths[rows][:, None]
    {masked}
    pooled = (scores.softmax(1)[:, :, None] * hidden).sum(1)
    loss = nn.functional.mse_loss(model(pooled).squeeze(1), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
"""

FIRES = _SCRIPT.format(masked='scores.masked_fill(beyond, float("-inf"))')
QUIET = _SCRIPT.format(masked='scores = scores.masked_fill(beyond, float("-inf"))')
