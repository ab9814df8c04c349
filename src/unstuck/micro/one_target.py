"""Whether the loss ever counts targets of more than one class.

## What it asks

Does a loss that tells several classes apart count targets of one class alone, in every step, while it leaves other
elements of the target out, and does that class stand in the input wherever it is counted?

## How

The recorded targets that the loss counts are collected. Where they are all of one class, the inputs are looked at in
the same places.

## What it costs

Nothing is run but the calls behind the loss.

## What is healthy

Several classes are counted. A contrastive loss may ask for the first of its candidates in every row, and no input holds
that number as an id. A masked language model whose labels are taken from the masked input asks for the mask's own id
wherever it counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.task import Task, main_program
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Value
from unstuck.tape.site import Site

COST = 1
BATCHES = 32
CLASSES = 3
"""Fewest that the network answers for: of two, one may be a rare one."""
ROWS = 50
"""Fewest targets that are counted."""


@dataclass(frozen=True)
class OneTarget:
    """The targets that are counted, by class."""

    classes: int
    counted: int
    left: int
    only: int | None = None
    """The one class that is counted, and that an input holds in the same places; None where there is none."""
    site: Site | None = None

    @property
    def why(self) -> str:
        """Which class is counted."""
        if self.only is None:
            return "the loss counts targets of several classes, or others than what the input holds in their places"
        return (
            f"every target that the loss counts is {self.only} ({self.counted} of them, of {self.classes} classes; "
            f"{self.left} are left out), and the input holds {self.only} in the same places"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Targets that are counted, and left out."""
        return {"counted": float(self.counted), "left out": float(self.left)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That one class is counted alone."""
        if self.only is None:
            return ()
        said = f"{self.why}; were the labels made after the input was masked?"
        return (Statement(said, self.site, "one-target", self.numbers, "target-construction"),)


def ask(recorded: Recorded) -> OneTarget:
    """Collect the targets. Raises NotApplicable unless the task has CLASSES classes, by their numbers."""
    tape = recorded.tape
    number, task = main_program(tape), Task.read(tape)
    classes = _classes(tape, number, task)
    passes = [p for p in tape.passes if p.program == number][:BATCHES]
    wanted = [_wanted(tape, task, p) for p in passes] if classes >= CLASSES else []
    if not wanted or any(w.is_floating_point() for w in wanted):
        raise NotApplicable(f"the task has not {CLASSES} classes that are given by their numbers")
    kept = [w != task.ignored for w in wanted]
    found = torch.cat([w[k].flatten() for w, k in zip(wanted, kept, strict=True)])
    left = sum(w.numel() for w in wanted) - len(found)
    if len(found) < ROWS or not left or int(found.min()) != int(found.max()):
        return OneTarget(classes, len(found), left)
    only, site = int(found[0]), task.loss.site if task.loss is not None else None
    if not all(_given(tape, task, p, k, only) for p, k in zip(passes, kept, strict=True)):
        return OneTarget(classes, len(found), left)
    return OneTarget(classes, len(found), left, only, site)


def _classes(tape: Tape, number: int, task: Task) -> int:
    """The size of the output's axis of classes; 0 where the task has none."""
    maker = tape.programs[number].maker(Value(task.output)) if task.output is not None else None
    if maker is None or task.kind != "classes" or task.target is None:
        return 0
    return maker.shape[1] if len(maker.shape) > 1 else 0


def _wanted(tape: Tape, task: Task, p: Pass) -> Tensor:
    return task.wanted(lambda slot: tape.tensors[p.outside[slot]])


def _given(tape: Tape, task: Task, p: Pass, kept: Tensor, only: int) -> bool:
    """Whether ids that enter beside the targets are the class's number wherever it is counted."""
    inputs = [tape.tensors[key] for slot, key in enumerate(p.outside) if slot not in task.slots]
    alike = [t.reshape(-1) for t in inputs if t.numel() == kept.numel() and not t.is_floating_point()]
    ids = [t for t in alike if t.dtype != torch.bool and len(t.unique()) >= CLASSES]  # flags are no ids
    return any(bool((t[kept.reshape(-1)] == only).all()) for t in ids)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
words = (torch.randint(0, 12, (600, 1)) + torch.arange(10)) % 12


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.rnn = nn.Embedding(13, 16), nn.GRU(16, 24, batch_first=True, bidirectional=True)
        self.head = nn.Linear(48, 13)

    def forward(self, words):
        return self.head(self.rnn(self.table(words))[0])


model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(6):
    for rows in torch.randperm(600).split(60):
        given, hidden = words[rows].clone(), torch.rand(len(rows), 10) < 0.2
        given[hidden] = 12
        wanted = {wanted}.clone()
        wanted[~hidden] = -100
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(given).flatten(0, 1), wanted.flatten())
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(wanted="given")
QUIET = _SCRIPT.format(wanted="words[rows]")
