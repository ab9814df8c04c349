"""Whether the script prints a score of ranks that is below what random answers reach.

## What it asks

Do the area under the ROC curve, or the concordance of survival times, that the script prints lie clearly below 0.5?

## How

The last numbers that are printed under these names are read.

## What it costs

Nothing is run.

## What is healthy

Random answers reach 0.5. A score that stays below it says that the network has learnt the order, the wrong way round:
a loss that is climbed, a risk set that is read from the other end, classes that are exchanged in the evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.printed import RANKS, Line, Number, Printed
from unstuck.tape.site import Site

COST = 0
CHANCE = 0.5
BELOW = 0.4
"""Of 100 random answers for two classes of 50, the area is below it in 4 of 100 cases; of three such scores in a row,
in next to none."""
LOOKS = 3
OTHERS = {
    "pr",
    "prc",
    "std",
    "drop",
    "gap",
    "diff",
    "delta",
    "ci",
    "importance",
    "class",
    "train",
    "control",
    "shuffled",
}
"""Beside one of these words the number is another one, or its chance is another."""


@dataclass(frozen=True)
class Backwards:
    """The last scores of ranks."""

    words: str
    last: tuple[float, ...]
    site: Site | None = None

    @property
    def reversed(self) -> bool:
        """Whether they all lie clearly below chance."""
        return len(self.last) == LOOKS and max(self.last) < BELOW

    @property
    def why(self) -> str:
        """The last one."""
        if not self.reversed:
            return "no score of ranks that is printed stays below what random answers reach"
        return f"the script prints {self.words} {self.last[-1]:.4g}, and random answers reach {CHANCE}"

    @property
    def numbers(self) -> dict[str, float]:
        """The last one."""
        return {"last": self.last[-1]}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the order is the wrong way round."""
        if not self.reversed:
            return ()
        said = (
            f"{self.why}: the network ranks the rows the wrong way round ({1 - self.last[-1]:.4g} if turned); is the "
            "loss read in reverse order, or with the wrong sign?"
        )
        return (Statement(said, self.site, "backwards", self.numbers, "loss-sign"),)


def ask(recorded: Recorded) -> Backwards:
    """Read what is printed. Raises NotApplicable where no score of ranks is."""
    lines = Printed.read(recorded.tape).lines
    found = [(line, at) for line in lines for at, n in enumerate(line.numbers) if _ranks(n)]
    if not found:
        raise NotApplicable("no score of ranks is printed")
    named: dict[int | None, list[tuple[Line, Number]]] = {}
    for line, at in found:
        named.setdefault(_name(set(line.numbers[at].words)), []).append((line, line.numbers[at]))
    courses = [_course(same) for same in named.values()]
    return next((course for course in courses if course.reversed), courses[-1])


def _course(same: list[tuple[Line, Number]]) -> Backwards:
    """The last numbers of one name."""
    line, last = same[-1]
    return Backwards(" ".join(last.words[-3:]), tuple(n.value for _, n in same[-LOOKS:]), line.said.site)


def _ranks(number: Number) -> bool:
    words = set(number.words)
    return 0 <= number.value <= 1 and number.better > 0 and _name(words) is not None and not words & OTHERS


def _name(words: set[str]) -> int | None:
    """Which of the names stands among the words."""
    return next((n for n, names in enumerate(RANKS) if names <= words), None)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(500, 6)
y = (x[:, 0] + x[:, 1] > 0).float()
model = nn.Linear(6, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        score, good = model(x[rows]).squeeze(1), y[rows] > 0
        gap = score[good][:, None] - score[~good][None]
        loss = nn.functional.softplus({sign}gap).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        score, good = model(x[400:]).squeeze(1), y[400:] > 0
        print("auc", (score[good][:, None] > score[~good][None]).float().mean().item())
"""

FIRES = _SCRIPT.format(sign="")
QUIET = _SCRIPT.format(sign="-")
