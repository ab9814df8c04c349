"""Whether every class is learnt.

## What it asks

Is there a class of which hardly any row is answered right in the script's last evaluation, while the others are
answered well?

## How

The answers of the last evaluation are counted by class, and the targets of the recorded steps: how many of each class
there were, and how many the loss counted.

## What it costs

Nothing is run but the last evaluation.

## What is healthy

Classes that are as frequent as others are learnt as well. One that is not has no training rows (a filter, a sampler or
a split left them out), is not counted by the loss (`ignore_index` is a real class, or its weight is 0), or has another
number in the evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.evaluation import answers
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, decisions, fitted, yardstick
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 1
FEWEST = 8
"""Rows of a class in the evaluation."""
NONE, WELL = 0.1, 0.75
"""Share of right answers: of a class that is not learnt, at most; of half of the others, at least."""
FREQUENT = 0.5
"""Share of the rows of an average class below which a class is a rare one: another matter."""


@dataclass(frozen=True)
class Classes:
    """Per class: right answers and rows of the last evaluation, rows of the training, and those the loss counts."""

    right: Tensor
    rows: Tensor
    trained: Tensor
    counted: Tensor
    whole: bool
    """All rows that were trained on are on the tape."""
    site: Site | None = None

    @property
    def unlearnt(self) -> tuple[int, ...]:
        """The classes that are not learnt."""
        known = self.rows >= FEWEST
        recall = self.right / self.rows.clamp(min=1)
        if int(known.sum()) < 3 or float(recall[known].median()) < WELL:
            return ()
        trained = self.counted[self.counted > 0]
        enough = self.counted >= FREQUENT * (trained.mean() if len(trained) else 0)
        never = (self.counted == 0) & (self.whole | (self.trained > 0))
        return tuple(int(c) for c in (known & (recall <= NONE) & (enough | never)).nonzero().flatten())

    @property
    def why(self) -> str:
        """What is said of the first class that is not learnt."""
        if not self.unlearnt:
            return "every class of the evaluation with enough rows is answered about as well as the others"
        one = self.unlearnt[0]
        more = f" (and of {len(self.unlearnt) - 1} more classes)" if len(self.unlearnt) > 1 else ""
        said = f"of the {int(self.rows[one])} rows of class {one}{more} in the last evaluation"
        return f"{said} {int(self.right[one])} are answered right, others well: {self._reason(one)}"

    def _reason(self, one: int) -> str:
        if not self.trained[one]:
            return "no row of it was trained on"
        if not self.counted[one]:
            return (
                f"the loss counts none of its {int(self.trained[one])} training rows (ignore_index, or a weight of 0)"
            )
        return f"it has {int(self.counted[one])} training rows; is it numbered differently in the evaluation?"

    @property
    def numbers(self) -> dict[str, float]:
        """How many classes there are, and how many are not learnt."""
        return {"classes": float(int((self.rows > 0).sum())), "not learnt": float(len(self.unlearnt))}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That a class is not learnt."""
        return (Statement(self.why, self.site, "classes", self.numbers),) if self.unlearnt else ()


def ask(recorded: Recorded) -> Classes:
    """Count by class. Raises NotApplicable unless the task has classes whose answers an evaluation shows."""
    tape = recorded.tape
    number, task = main_program(tape), Task.read(tape)
    if task.kind != "classes" or task.target is None:
        raise NotApplicable("the task has no classes")
    yard = yardstick(tape, number, task)
    right, rows = _evaluated(tape, replace(task, loss=None, counting=None), replace(yard, fillers=()))
    loss = task.loss.site if task.loss is not None else None
    trained = _trained(tape, number, task, yard.classes)
    return Classes(right, rows, trained, yard.counts.double(), not tape.late, loss)


def _evaluated(tape: Tape, task: Task, yard: Yardstick) -> tuple[Tensor, Tensor]:
    """Right answers and rows by class."""
    parts = []
    for _, _, output, wanted in answers(tape):
        try:
            if int(decisions(task, output.unsqueeze(0), wanted)[1].max()) < yard.classes:
                parts.append(yard.rows(task, fitted(task, output, wanted).unsqueeze(0), wanted)[0])
        except (RuntimeError, IndexError, TypeError, ValueError):
            continue
    if not parts:
        raise NotApplicable("no evaluation after the last training step shows answers for classes")
    right, rows = torch.stack(parts).sum(0).split(yard.classes)
    return right, rows


def _trained(tape: Tape, number: int, task: Task, classes: int) -> Tensor:
    """Recorded training targets by class, also those that the loss leaves out."""
    assert task.target is not None
    counts = torch.zeros(classes, dtype=torch.float64)
    for key in dict.fromkeys(p.outside[task.target] for p in tape.passes if p.program == number):
        target = tape.tensors[key]
        if target.is_floating_point():
            raise NotApplicable("the targets are no class numbers")
        inside = target[(target >= 0) & (target < classes)].long()
        counts += torch.bincount(inside.reshape(-1), minlength=classes).double()
    return counts


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(900, 6)
y = (x @ torch.randn(6, 5)).argmax(1)
model = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 5))
criterion = nn.CrossEntropyLoss({options})
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(700).split(50):
        loss = criterion(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("accuracy", (model(x[700:]).argmax(1) == y[700:]).float().mean().item())
"""

FIRES = _SCRIPT.format(options="ignore_index=0")
QUIET = _SCRIPT.format(options="")
