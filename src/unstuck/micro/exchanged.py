"""Whether the numbers of a target stand in one order in the evaluation and in both in the training.

## What it asks

Is one number of the target always larger than another one in the script's evaluation, and in the training as often
smaller by as much?

## How

Each pair of numbers of the evaluated targets is compared over the rows. For a pair with one order, the differences of
the training targets are looked at: two groups of opposite sign with nothing between them are targets that were
exchanged in a part of the rows.

## What it costs

Nothing is run.

## What is healthy

The pairs have the same order in both. A picture that is mirrored has its left and right points exchanged: the target of
the left eye is then that of the right one, so that its numbers must change places as well as sides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.recomputed import Answers
from unstuck.tape.site import Site

COST = 1
ALWAYS = 0.98
"""Share of the evaluated rows with one order."""
PART = 0.1
"""Share of the training rows with the other order, at least."""
BETWEEN, FEW = 0.25, 0.05
"""Share of the rows, at most, whose difference is below this part of the typical one: nothing lies between."""
ALIKE = 0.5
"""Relative distance of the typical differences of both groups, at most."""
ROWS, MOST, WIDEST = 50, 5_000, 64
"""Rows of each side, at least, and at most; numbers of a target."""


@dataclass(frozen=True)
class Exchanged:
    """The pair whose order differs most between training and evaluation."""

    numbers_of: tuple[int, int] = (0, 0)
    share: float = 0.0
    """Of the training rows with the other order than the evaluation's."""
    rows: tuple[int, int] = (0, 0)
    """Of the training and of the evaluation."""
    site: Site | None = None

    @property
    def why(self) -> str:
        """The pair."""
        if not self.share:
            return "the numbers of the targets stand in the same order in training and evaluation"
        low, high = self.numbers_of
        return (
            f"number {low} of a target is below number {high} in all of {self.rows[1]} evaluated rows, and above it by "
            f"as much in {self.share:.0%} of {self.rows[0]} training rows: does an augmentation mirror the rows "
            "without exchanging what is left and right?"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The share."""
        return {"exchanged": self.share}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That they are exchanged."""
        return (Statement(self.why, self.site, "exchanged", self.numbers),) if self.share else ()


def ask(recorded: Recorded) -> Exchanged:
    """Compare the orders. Raises NotApplicable where a target is not several numbers, or no evaluation is known."""
    answers = Answers.read(recorded.tape)
    if answers.task.kind != "regression" or answers.task.target is None:
        raise NotApplicable("the targets are not several numbers")
    trained, asked = _trained(answers, answers.task.target), _asked(answers)
    if trained is None or asked is None or trained.shape[1] != asked.shape[1]:
        raise NotApplicable("no targets of several numbers are known in the training and in the evaluation")
    below = (asked[:, :, None] < asked[:, None, :]).double().mean(0)
    above = (trained[:, :, None] > trained[:, None, :]).double().mean(0)
    pairs = ((below >= ALWAYS) & (above >= PART) & (above <= 1 - PART)).nonzero().tolist()
    told = [(i, j) for i, j in pairs if _two_groups(trained[:, j] - trained[:, i])]
    if not told:
        return Exchanged()
    low, high = max(told, key=lambda pair: float(above[pair]))
    site = answers.task.loss.site if answers.task.loss is not None else None
    return Exchanged((low, high), float(above[low, high]), (len(trained), len(asked)), site)


def _two_groups(apart: Tensor) -> bool:
    """Whether differences are of two signs, of about one size, with nothing between."""
    size = float(apart.abs().median())
    one, other = float(apart[apart > 0].median()), float(-apart[apart < 0].median())
    between = float((apart.abs() < BETWEEN * size).double().mean())
    return between <= FEW and abs(one - other) <= ALIKE * max(one, other)


def _trained(answers: Answers, target: int) -> Tensor | None:
    keys = dict.fromkeys(p.outside[target] for p in answers.tape.passes if p.program == answers.main)
    return _table([answers.tape.tensors[key] for key in keys])


def _asked(answers: Answers) -> Tensor | None:
    """The targets of the last evaluations."""
    last = max((e.after for e in answers.tape.evaluations), default=-1)
    numbers = (n for n, e in enumerate(answers.tape.evaluations) if e.after == last)
    return _table([pair[1] for n in numbers if (pair := answers.pair(n)) is not None])


def _table(parts: list[Tensor]) -> Tensor | None:
    """(rows, numbers) of the first parts that are alike; None of too few rows or numbers, or too many numbers."""
    flat = [t.reshape(len(t), -1).double() for t in parts if t.dim() > 1 and len(t)]
    flat = [t for t in flat if t.shape[1] == flat[0].shape[1]]
    if not flat or not 1 < flat[0].shape[1] <= WIDEST:
        return None
    whole = torch.cat(flat)[:MOST]
    return whole if len(whole) >= ROWS else None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
places = torch.arange(16.0)
left, right = 3 + 2 * torch.rand(600), 10 + 2 * torch.rand(600)
shown = lambda at, size: size * torch.exp(-(places - at[:, None]).square() / 2)
x, y = shown(left, 1.0) + shown(right, 1.0), torch.stack([left, right], 1)
model = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for epoch in range(8):
    for rows in torch.randperm(500).split(50):
        seen, wanted = x[rows], y[rows]
        if torch.rand(()) < 0.5:
            seen, wanted = seen.flip(1), {mirrored}
        loss = nn.functional.smooth_l1_loss(model(seen), wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
with torch.no_grad():
    print("error", (model(x[500:]) - y[500:]).abs().mean().item())
"""

FIRES = _SCRIPT.format(mirrored="15 - wanted")
QUIET = _SCRIPT.format(mirrored="(15 - wanted).flip(1)")
