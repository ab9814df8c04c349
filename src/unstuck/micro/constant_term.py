"""Whether the weights can change every term of the loss.

## What it asks

Where a loss is a sum of terms: is there one that no weight takes part in which the next step trains?

## How

The last additions of the loss are taken apart, and autograd is asked which of the terms it could differentiate by the
weights of the optimizers that step after that backward. Where several losses take turns, each is asked.

## What it costs

One forward of each recorded program.

## What is healthy

Every term depends on weights that are trained by it. One that does not is a number to the optimizer, whatever its
value: it was made from the wrong network's output, from the data alone, or behind `detach()` or `no_grad()`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.micro.terms import FEW, MOST, inside, summands
from unstuck.signals.task import main_program
from unstuck.tape.interpreter import Way, run
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Value

COST = 1
PROGRAMS = 4
"""Losses that are taken apart."""


@dataclass(frozen=True)
class ConstantTerm:
    """The terms of the loss that no trained weight takes part in."""

    terms: int
    constant: tuple[tuple[Call, float], ...]
    """The call that makes each, and its value in the first step."""

    @property
    def why(self) -> str:
        """Which terms the weights cannot change."""
        if not self.constant:
            return "weights that it trains take part in every term of the loss"
        call, value = self.constant[0]
        line = f" in line {call.site.line}" if call.site is not None else ""
        term = f"the term {call.name}(){line} of the loss ({value:.3g} at first)"
        return f"{term} depends on no weight that the step after it trains"

    @property
    def numbers(self) -> dict[str, float]:
        """Terms, and those that are constant."""
        return {"terms": float(self.terms), "constant": float(len(self.constant))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """One for each constant term."""
        return tuple(self._told(one) for one in self.constant)

    def _told(self, one: tuple[Call, float]) -> Statement:
        said = f"{ConstantTerm(self.terms, (one,)).why}: it has no gradient, and the training is the same without it"
        return Statement(said, one[0].site, "constant-term", self.numbers, "graph-detached")


def ask(recorded: Recorded) -> ConstantTerm:
    """Take the losses apart. Raises NotApplicable where none is a sum of a few terms."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    first = {p.program: at for at, p in reversed(list(enumerate(recorded.tape.passes)))}
    main = main_program(recorded.tape)
    numbers = sorted(first, key=lambda n: (n != main, first[n]))[:PROGRAMS]
    asked = [one for n in numbers for one in _of(recorded, first[n])]
    if not asked:
        raise NotApplicable("the loss is not a sum of a few terms")
    return ConstantTerm(sum(terms for terms, _ in asked), tuple(one for _, dead in asked for one in dead))


def _of(recorded: Recorded, at: int) -> Iterator[tuple[int, tuple[tuple[Call, float], ...]]]:
    """The number of terms of a pass's loss, and the constant ones; nothing where it has too few or too many."""
    program = recorded.tape.programs[recorded.tape.passes[at].program]
    parts = [value for value, *_ in summands(program)] if program.loss >= 0 else []
    stepped = _stepped(recorded.tape, at)
    if not FEW <= len(parts) <= MOST or not stepped & set(program.weights()):
        return
    step = recorded.step(at)
    leaves = {n: w.detach().requires_grad_(n in stepped) for n, w in step.weights.items()}
    with torch.enable_grad(), step.drawing():
        values = run(program, leaves, tuple(t.clone() for t in step.outside), {}, Way(step.device, True), parts)
    dead = [part for part in parts if not values[part].requires_grad]
    makers = [(program.maker(inside(program, Value(part))), float(values[part].mean())) for part in dead]
    yield len(parts), tuple((call, value) for call, value in makers if call is not None)


def _stepped(tape: Tape, at: int) -> set[str]:
    """The weights that the gradients of a pass are used for: held by an optimizer that steps before the next pass, or
    with a gradient that is still there when that begins."""
    steps = {u.optimizer for u in tape.updates if u.after == at + 1}
    later = tape.passes[at + 1 : at + 2]
    left = set(later[0].stale) if later else set()
    trained = (p for p in tape.parameters if p.trainable and p.optimizer >= 0)
    return {p.name for p in trained if p.optimizer in steps or p.name in left}


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 8)
y = (x[:, 0] + x[:, 1] > 0).long()
teacher = nn.Linear(8, 2)
teacher.weight.data = torch.tensor([[-1.0, -1.0] + [0.0] * 6, [1.0, 1.0] + [0.0] * 6])
student = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(student.parameters(), lr=0.003)
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        with torch.no_grad():
            wanted = teacher(x[rows])
        logits = student(x[rows])
        soft = nn.functional.kl_div({answer}.log_softmax(1), wanted.softmax(1), reduction="batchmean")
        loss = 0.8 * soft + 0.2 * nn.functional.cross_entropy(logits, y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(answer="wanted")
QUIET = _SCRIPT.format(answer="logits")
