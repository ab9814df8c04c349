"""Whether targets of two joined axes stand in the order in which the answers stand.

## What it asks

Where a run does not learn, and its answers are those of two axes made one (classes and queries, rows and steps): does
it learn when the targets are taken in the other order of these axes?

## How

The shapes of the step tell which pairs of axes the answers may have been made of. For each pair the targets of every
step are transposed, and the recorded training is begun again from its first weights, with the script's own optimizer.
The accuracy of the last steps is compared with that of the same steps as they are.

## What it costs

2 * STEPS steps for the pair that is tried first, STEPS for another one.

## What is healthy

The run learns, or learns no better with its targets in another order. `arange(k).repeat(n)` is in the order of the
queries, and `arange(k).repeat_interleave(n)` in that of the classes: one of them goes with `x.reshape(k * n, -1)`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import answers
from unstuck.micro.by_heart import fails
from unstuck.micro.step import Recorded
from unstuck.micro.training import Training
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import CannotReplay
from unstuck.tape.program import Program
from unstuck.tape.site import Site

COST, KEEPS, FAILING = 80, 0.2, True
STEPS, FEWEST, LAST = 60, 24, 12
"""Steps of an arm, at most and at least, and those whose accuracy counts."""
PAIRS = 3
GAIN, SURE = 0.15, 6.0
"""Accuracy that another order adds, at least, and in standard deviations of a share."""


@dataclass(frozen=True)
class Turned:
    """Accuracies of the last steps."""

    own: float
    other: float = 0.0
    axes: tuple[int, int] = (0, 0)
    answered: int = 0
    site: Site | None = None

    @property
    def turned(self) -> bool:
        """Whether the run learns with the targets in the other order."""
        error = (0.25 / max(1, self.answered)) ** 0.5
        return self.other - self.own >= max(GAIN, SURE * error)

    @property
    def why(self) -> str:
        """Both accuracies."""
        if not self.turned:
            return f"accuracy {self.own:.3f} after a few dozen steps, and no more with targets in another order"
        a, b = self.axes
        return (
            f"the targets stand in another order than the answers: after the same steps accuracy is {self.own:.3f} as "
            f"they are, and {self.other:.3f} where they are read as {a} x {b} and transposed"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Both accuracies."""
        return {"as they are": self.own, "transposed": self.other}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the order is another one."""
        if not self.turned:
            return ()
        said = f"{self.why}; `repeat` for `repeat_interleave`, or axes that were not exchanged before `flatten`?"
        return (Statement(said, self.site, "turned", self.numbers, "label-misaligned"),)


def ask(recorded: Recorded) -> Turned:
    """Train again. Raises NotApplicable unless the run fails at a task of classes whose answers may be of two axes."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    tape, task = recorded.tape, Task.read(recorded.tape)
    number = main_program(tape)
    if task.kind != "classes" or task.target is None or task.output is None:
        raise NotApplicable("the task has no classes")
    if not fails(tape):
        raise NotApplicable("the run learns")
    target = tape.tensors[next(p for p in tape.passes if p.program == number).outside[task.target]]
    pairs = list(_pairs(tape.programs[number], target))[:PAIRS]
    if not pairs:
        raise NotApplicable("the answers are not those of two axes made one")
    until = time.thread_time() + recorded.seconds
    own, count = _accuracy(recorded, task, None, until)
    found = [Turned(own, *_arm(recorded, task, pair, until), task.loss.site if task.loss else None) for pair in pairs]
    return max((f for f in found if f.answered), key=lambda f: f.other, default=Turned(own, answered=count))


def _arm(recorded: Recorded, task: Task, pair: tuple[int, int], until: float) -> tuple[float, tuple[int, int], int]:
    try:
        other, count = _accuracy(recorded, task, pair, until)
    except NotApplicable:
        return 0.0, pair, 0
    return other, pair, count


def _pairs(program: Program, target: Tensor) -> Iterator[tuple[int, int]]:
    """Sizes of two axes beside each other, in some value of the step, whose product is the number of targets."""
    if target.dim() != 1 or target.is_floating_point():
        return
    seen = set[tuple[int, int]]()
    for shape in (c.shape for c in program.calls):
        for a, b in pairwise(shape):
            if min(a, b) > 1 and a * b == len(target) and (a, b) not in seen:
                seen |= {(a, b), (b, a)}
                yield a, b
                if a != b:
                    yield b, a


def _accuracy(recorded: Recorded, task: Task, pair: tuple[int, int] | None, until: float) -> tuple[float, int]:
    """Share of right answers of the last steps, each before its update, and how many answers."""
    assert task.output is not None and task.target is not None
    training, number, hits = Training(recorded), main_program(recorded.tape), list[Tensor]()
    for at in range(min(STEPS, len(recorded.tape.passes))):
        if time.thread_time() > until:
            break
        step = training.step().with_(seed=at)
        if recorded.tape.passes[at].program == number:
            target = step.outside[task.target]
            told = target if pair is None else target.reshape(pair).T.reshape(-1)
            step = step.given(task.target, told)
            made = step.backward(kept=(task.output,))
            found = answers(task, made.values, told)
            if found is not None:
                hits.append(found.argmax(1) == told)
        else:
            made = step.backward()
        if not bool(torch.isfinite(made.loss)):
            raise CannotReplay("its loss is not finite")
        training.advance(made.gradients)
    if len(hits) < FEWEST:
        raise NotApplicable(f"fewer than {FEWEST} steps could be made in the time")
    last = torch.cat(hits[-LAST:]).double()
    return float(last.mean()), len(last)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 16))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for episode in range(80):
    rows = torch.randn(4, 1, 8) + 0.5 * torch.randn(4, 11, 8)
    inner = model(rows)
    queries = inner[:, 5:].reshape(24, -1)
    scores = -torch.cdist(queries, inner[:, :5].mean(1)).pow(2)
    loss = nn.functional.cross_entropy(scores, torch.arange(4).{repeated}(6))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(episode, loss.item())
"""

FIRES = _SCRIPT.format(repeated="repeat")
QUIET = _SCRIPT.format(repeated="repeat_interleave")
