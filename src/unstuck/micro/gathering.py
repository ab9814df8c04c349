"""Sums over members whose number varies from row to row.

## What it asks

Where the step sums over neighbours or tokens of a matrix that enters it: over how many does each row sum, and is the
sum divided by their number?

## How

Products of a matrix between rows that enters the step (an adjacency) with what the network makes are looked for; the
sums of the matrix's rows are the numbers of members. Where they differ, the step is run again with every other row of
the matrix doubled: what is divided by the number of members stays as it was.

## What it costs

One look at the recorded tensors, and two forwards where the sums differ.

## What is healthy

The rows of the matrix sum to about the same: it is normalised. A sum is sometimes meant, and a network may learn with
it as long as the largest is not many times the typical one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import REFUSED, Recorded, Step
from unstuck.signals.task import main_program
from unstuck.tape.ops import of
from unstuck.tape.program import Call, Outside

COST = 1
MANY = 10.0
"""Times the typical row's sum: a step that is right for the typical row is ten times too large for the largest."""
PRODUCTS = {*of("matmul").names, *of("mm").names, *of("bmm").names, *of("rmatmul").names, "einsum"}
FEWEST = 8
"""Rows of the matrix."""
SAME = 1e-4
"""Relative difference of two losses that are the same but for rounding."""


@dataclass(frozen=True)
class Sum:
    """A product that sums over the members of each row."""

    call: Call
    slot: int
    typical: float
    """Median of the rows' sums."""
    largest: float
    dense: bool
    divided: bool = False
    """The result is divided by the sum, or does not depend on it otherwise."""

    @property
    def times(self) -> float:
        """How many times the typical one the largest is."""
        return self.largest / max(self.typical, 1e-12)


@dataclass(frozen=True)
class Gathering:
    """All such products of the main program."""

    sums: tuple[Sum, ...]

    @property
    def why(self) -> str:
        """The one whose rows differ most."""
        worst = max(self.sums, key=lambda s: s.times)
        if worst.divided:
            return f"what {worst.call.name}() sums over is divided by the number of rows"
        return f"{worst.call.name}() sums over {worst.typical:.3g} rows for a typical row, {worst.largest:.3g} for one"

    @property
    def numbers(self) -> dict[str, float]:
        """Typical and largest sum of the one whose rows differ most."""
        worst = max(self.sums, key=lambda s: s.times)
        return {"typical": worst.typical, "largest": worst.largest}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Sums whose largest is many times the typical one."""
        worst = max(self.sums, key=lambda s: s.times)
        if worst.times < MANY or worst.divided:
            return ()
        return (Statement(self.why, worst.call.site, "gathering", self.numbers, "aggregation-scale"),)


def ask(recorded: Recorded) -> Gathering:
    """Look for such products. Raises NotApplicable where there are none."""
    tape, number = recorded.tape, main_program(recorded.tape)
    program, first = tape.programs[number], next(p for p in tape.passes if p.program == number)
    outside = tuple(tape.tensors[key] for key in first.outside)
    found = (_sum(call, outside) for call in program.calls if call.name in PRODUCTS)
    sums = {(s.call.site, s.slot): s for s in found if s is not None}
    if not sums:
        raise NotApplicable("no matrix between rows enters the step")
    step = recorded.step(tape.passes.index(first))
    return Gathering(tuple(replace(s, divided=s.times >= MANY and _divided(step, s)) for s in sums.values()))


def _divided(step: Step, found: Sum) -> bool:
    """Whether the loss stays as it is where every other row of the matrix counts twice, and with it the numbers of
    members that enter beside it."""
    matrix = step.outside[found.slot]
    whole = matrix if found.dense else matrix.to_dense()
    twice = 1 + torch.arange(whole.shape[-2]) % 2
    doubled = whole * twice[:, None].to(whole)
    other = step.given(found.slot, doubled if found.dense else doubled.to_sparse(layout=matrix.layout))
    for slot, tensor in enumerate(step.outside):
        if (power := _counts(tensor, whole)) is not None:
            each = twice.to(tensor).repeat(tensor.numel() // len(twice)) ** power
            other = other.given(slot, tensor * each.reshape(tensor.shape))
    try:
        was, now = step.loss(), other.loss()
    except REFUSED:
        return False
    return abs(now - was) <= SAME * abs(was)


def _counts(tensor: torch.Tensor, matrix: torch.Tensor) -> int | None:
    """1 where a tensor holds the sums of the matrix's rows, -1 where it holds one over them, in any unit."""
    sums = matrix.sum(-1).flatten()
    if tensor.layout != torch.strided or not tensor.is_floating_point() or tensor.numel() != sums.numel():
        return None
    of = tensor.flatten()
    return next((p for p in (1, -1) if _level(of / sums**p)), None)


def _level(numbers: torch.Tensor) -> bool:
    return bool(numbers.isfinite().all()) and float(numbers.max() - numbers.min()) <= SAME * float(numbers.abs().max())


def _sum(call: Call, outside: tuple[torch.Tensor, ...]) -> Sum | None:
    """The product as a sum over members; None where its first factor is no matrix of non-negative numbers between rows,
    or the other enters too."""
    first = call.args[1] if call.name.startswith("r") and len(call.args) > 1 else call.args[0] if call.args else None
    if not isinstance(first, Outside) or len(call.refs()) < 2 or all(isinstance(r, Outside) for r in call.refs()):
        return None
    matrix = outside[first.slot]
    dense = matrix.layout == torch.strided
    if matrix.dim() < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] < FEWEST:
        return None
    whole = matrix if dense else matrix.to_dense()
    if not whole.is_floating_point() or bool((whole < 0).any()):
        return None
    sums = whole.sum(-1).flatten()
    return Sum(call, first.slot, float(sums.median()), float(sums.max()), dense)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
topic = torch.randint(0, 3, (500,))
fame = torch.rand(500) ** -2.0
near = torch.eye(500)
for i in range(500):
    chance = fame * torch.where(topic == topic[i], 1.0, 0.03)
    cited = torch.multinomial(chance, 3)
    near[i, cited] = near[cited, i] = 1.0
{normalised}
words = torch.randn(500, 20) + 0.6 * torch.randn(3, 20)[topic]
seen = torch.arange(60)


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(20, 16), nn.Linear(16, 3)

    def forward(self, x, near):
        h = nn.functional.dropout(torch.relu(near @ self.first(x)), 0.5, self.training)
        return near @ self.second(h)


model = Graph()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
for epoch in range(60):
    loss = nn.functional.cross_entropy(model(words, near)[seen], topic[seen])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
model.eval()
with torch.no_grad():
    print(loss.item(), (model(words, near)[60:].argmax(1) == topic[60:]).float().mean().item())
"""

FIRES = _SCRIPT.format(normalised="")
QUIET = _SCRIPT.format(normalised="near = near / near.sum(1, keepdim=True)")
