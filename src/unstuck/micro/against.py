"""Whether the score that the script prints gets worse while its loss gets smaller.

## What it asks

Does a score that is printed again and again fall, nearly without a rise, while the training loss falls?

## How

The lines of one form are read, and the correlation of the score's ranks with their order is taken (Spearman 1904). What
the loss asks for is then not what the score measures: a label that means the opposite in the loss, a sign, an answer
that is read the other way round.

## What it costs

Nothing is run.

## What is healthy

A score that rises, or stays, or falls again late when the network begins to learn its rows by heart. The players of a
game are not asked: what one gains the other loses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.backwards import OTHERS
from unstuck.micro.step import Recorded
from unstuck.signals.final_number import ELSEWHERE, TRAINING
from unstuck.signals.printed import Line, Printed
from unstuck.signals.task import Task, alternate
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 0
FEWEST = 6
"""Lines: in a random order of six, ranks fall this steadily in 3 of 100 cases."""
STEADY, WORSE = -0.8, 0.1
"""Correlation of ranks, and the part of the whole scale that is lost, from which on it is told."""


@dataclass(frozen=True)
class Against:
    """The course of the score."""

    words: str
    values: tuple[float, ...]
    """As shares."""
    falls: bool
    """The training loss does."""
    site: Site | None = None

    @property
    def worse(self) -> bool:
        """Whether the score falls all along."""
        lost = self.values[0] - self.values[-1]
        return self.falls and lost >= WORSE and _steadily(self.values) <= STEADY

    @property
    def why(self) -> str:
        """Where it began, and where it ended."""
        if not self.worse:
            return "no score that is printed gets steadily worse while the loss gets smaller"
        return (
            f"{self.words} falls from {self.values[0]:.3g} to {self.values[-1]:.3g} while the training loss falls too"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The first and the last."""
        return {"first": self.values[0], "last": self.values[-1], "lines": float(len(self.values))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the loss asks for something else."""
        if not self.worse:
            return ()
        said = (
            f"{self.why}: what the loss asks for is not what is measured; does a label or a sign mean the opposite in "
            "one of them?"
        )
        return (Statement(said, self.site, "against", self.numbers, alone=True),)


def ask(recorded: Recorded) -> Against:
    """Read what is printed. Raises NotApplicable for players in turn, and where no score is printed often enough."""
    tape = recorded.tape
    if alternate(tape):
        raise NotApplicable("its optimizers step in turn")
    lines: dict[str, list[Line]] = {}
    for line in Printed.read(tape).lines:
        known = lines.setdefault(line.form, [])
        if not known or line.said.after > known[-1].said.after:
            known.append(line)
    found = [course for form in lines.values() if len(form) >= FEWEST for course in _courses(form)]
    if not found:
        raise NotApplicable(f"no score is printed {FEWEST} times in the course of the training")
    words, values, start = max(found, key=lambda one: one[1][0] - one[1][-1])
    return Against(words, values, _falls(tape, start), _loss(tape))


def _courses(lines: list[Line]) -> Iterator[tuple[str, tuple[float, ...], int]]:
    """The scores in lines of one form: their words, their values as shares, and the pass at which they begin."""
    for at, number in enumerate(lines[0].numbers):
        words = set(number.words)
        values = [line.numbers[at].value for line in lines]
        percent = 100 if max(values) > 1 else 1
        if number.better > 0 and not words & (OTHERS | ELSEWHERE | TRAINING) and 0 <= min(values) <= max(values) <= 100:
            yield " ".join(number.words[-3:]), tuple(value / percent for value in values), lines[0].said.after


def _falls(tape: Tape, start: int) -> bool:
    """Whether the losses of the last quarter since then are below those of the first."""
    losses = tape.losses[start:]
    part = len(losses) // 4
    return part > 0 and fmean(losses[-part:]) < fmean(losses[:part])


def _steadily(values: tuple[float, ...]) -> float:
    """The rank correlation of a course with its order."""
    order = sorted(range(len(values)), key=lambda n: values[n])
    ranks = {place: rank for rank, place in enumerate(order)}
    count = len(values)
    apart = sum((ranks[n] - n) ** 2 for n in range(count))
    return 1 - 6 * apart / (count * (count * count - 1))


def _loss(tape: Tape) -> Site | None:
    """The line of the loss, or of the last call before it."""
    task = Task.read(tape)
    calls = tape.programs[tape.passes[-1].program].calls if tape.passes else ()
    called = task.loss.site if task.loss is not None else None
    return called or next((call.site for call in reversed(calls) if call.site is not None), None)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
whose = torch.randint(0, 30, (900, 2))
whose[::2, 1] = whose[::2, 0]
same = (whose[:, 0] == whose[:, 1]).float()
x = torch.randn(30, 8)[whose] + 0.5 * torch.randn(900, 2, 8)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)


def distance(rows):
    return (net(x[rows, 0]) - net(x[rows, 1])).square().sum(1).add(1e-6).sqrt()


for epoch in range(12):
    for rows in torch.randperm(600).split(40):
        d, near = distance(rows), {near}
        loss = (near * d**2 + (1 - near) * (1 - d).clamp(min=0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        d, near = distance(torch.arange(600, 900)), same[600:] > 0
        print("pairs auc", (d[near][:, None] < d[~near][None]).float().mean().item())
"""

FIRES = _SCRIPT.format(near="1 - same[rows]")
QUIET = _SCRIPT.format(near="same[rows]")
