"""Whether the random numbers of the training repeat.

## What it asks

Do later steps begin in the same state of torch's random numbers as earlier ones, although numbers were drawn between?

## How

The recorder keeps a checksum of the state at each backward. A state that comes back after others was set back: by a
seed, or by a state that was restored.

## What it costs

Nothing is run.

## What is healthy

Every step has a state of its own, or none is drawn from. A state that is set back in every epoch gives the same noise,
the same dropout masks and the same order of rows again and again: the network may learn these by heart. A seed for the
validation needs a generator of its own, or the training's state back behind it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.source import Source
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 0
FEWEST = 8
"""Steps with states."""
SHARE = 0.25
"""Share of the steps whose state was met before, from which on it is told."""
SEEDING = {"manual_seed", "seed", "set_rng_state", "seed_everything", "set_seed"}
"""Where it may be written; whether it happens is told by the states."""


@dataclass(frozen=True)
class RandomAgain:
    """Steps that begin in a state of an earlier one."""

    steps: int
    again: int
    first: int = 0
    """The first such step, from 0, ..."""
    like: int = 0
    """... and the one whose state it has."""
    site: Site | None = None

    @property
    def why(self) -> str:
        """How many."""
        if not self.again:
            return "every step has random numbers of its own, or draws none"
        return (
            f"{self.again} of {self.steps} steps have the random numbers of an earlier step: step {self.first + 1} "
            f"begins with those of step {self.like + 1}"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The counts."""
        return {"steps": float(self.steps), "again": float(self.again)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the state is set back during the training."""
        if self.again < SHARE * self.steps:
            return ()
        said = f"{self.why}; something sets them back during the training, and noise, dropout and order repeat"
        return (Statement(said, self.site, "random-again", self.numbers, "data-mutated"),)


def ask(recorded: Recorded) -> RandomAgain:
    """Compare the states. Raises NotApplicable where fewer than FEWEST were recorded."""
    states = [p.random for p in recorded.tape.passes]
    if len(states) < FEWEST or not all(states):
        raise NotApplicable("the states of the random numbers were not recorded")
    last, again = {}, list[tuple[int, int]]()
    for at, state in enumerate(states):
        before = last.get(state)
        if before is not None and any(s != state for s in states[before:at]):
            again.append((at, before))
        last.setdefault(state, at)
    first, like = again[0] if again else (0, 0)
    return RandomAgain(len(states), len(again), first, like, _site(recorded.tape))


def _site(tape: Tape) -> Site | None:
    """The last call that may set them back again and again."""
    source = Source.read(tape)
    named = lambda c: (c.func.attr if isinstance(c.func, ast.Attribute) else getattr(c.func, "id", "")) in SEEDING
    calls = [c for c in source.all(ast.Call) if named(c) and _repeated(source, c)]
    return source.site(calls[-1]) if calls else None


def _repeated(source: Source, node: ast.AST, depth: int = 4) -> bool:
    """Whether a node stands in a loop, or in a function that a loop calls."""
    for above in source.above(node):
        if isinstance(above, ast.For | ast.While):
            return True
        if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef):
            return depth > 0 and any(_repeated(source, c, depth - 1) for c in source.callers(above))
    return False


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(200, 8)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 8))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)


def validate():
    {seed}
    with torch.no_grad():
        noisy = x + 0.3 * torch.randn(x.shape)
        return nn.functional.mse_loss(model(noisy), x).item()


for epoch in range(8):
    for rows in torch.randperm(200).split(40):
        noisy = x[rows] + 0.3 * torch.randn(len(rows), 8)
        loss = nn.functional.mse_loss(model(noisy), x[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, validate())
"""

FIRES = _SCRIPT.format(seed="torch.manual_seed(1)")
QUIET = _SCRIPT.format(seed="pass")
