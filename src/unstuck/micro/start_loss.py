"""The first loss, beside what an answer without knowledge costs.

## What it asks

Is the loss of the first step what its own form and the recorded targets predict for a network that knows nothing yet?

## How

The calls between the network's output and the loss are run alone, on the output as it is and on the best answer that is
the same for every row: the shares of the classes, or the mean of the targets. So weights, reductions and masks of the
loss count as they do in the script.

## What it costs

Less than two forwards.

## What is healthy

The first loss is near that of the best constant answer: outputs are small at first. Many times as much means outputs,
or targets, of another size than the loss expects; the first steps then only learn that.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step
from unstuck.signals.task import Task, main_program
from unstuck.signals.yardstick import Yardstick, yardstick
from unstuck.tape.program import Call, Outside, Program, Value
from unstuck.tape.site import Site

COST = 1
MANY = {"regression": 100.0}
"""Times the constant answer's loss: squared errors of targets whose mean is ten times their spread come to 100."""
TIMES = 5.0
"""The same for classes: logits would have to be wrong by several times log(C) on average."""
FLOOR = 1e-3
"""The least share of a class, so that its logarithm is finite."""


@dataclass(frozen=True)
class StartLoss:
    """The first loss and the constant answer's."""

    first: float
    constant: float
    many: float
    site: Site | None
    kind: str

    @property
    def times(self) -> float:
        """How many times as large the first loss is."""
        return self.first / self.constant if self.constant > 0 else 1.0

    @property
    def why(self) -> str:
        """Both losses."""
        best = "the mean of the targets" if self.kind == "regression" else "the shares of the classes"
        return f"the first loss is {self.first:.4g}; answering {best} for every row costs {self.constant:.4g}"

    @property
    def numbers(self) -> dict[str, float]:
        """Both losses."""
        return {"first": self.first, "constant": self.constant}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That it is many times as large."""
        if not self.times >= self.many:
            return ()
        return (Statement(self.why, self.site, "start-loss", self.numbers),)


def ask(recorded: Recorded) -> StartLoss:
    """Compare them. Raises NotApplicable where the task is not known or the constant answer costs nothing."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    tape, number = recorded.tape, main_program(recorded.tape)
    task = Task.read(tape)
    at = next(i for i, p in enumerate(tape.passes) if p.program == number)
    step = recorded.step(at)
    answer = constant_answer(task, yardstick(tape, number, task), step)
    if answer is None:
        raise NotApplicable("the best constant answer is not known")
    first, constant = step.loss(), loss_of(step, task, answer)
    if not constant > 0:
        raise NotApplicable("the loss of a constant answer is not above 0")
    site = task.loss.site if task.loss is not None else None
    return StartLoss(first, constant, MANY.get(task.kind, TIMES), site, task.kind)


def constant_answer(task: Task, yard: Yardstick, step: Step) -> Tensor | None:
    """The best output that is the same for every row, in the output's shape."""
    if task.output is None:
        return None
    out = step.values({task.output})[task.output]
    if task.kind == "regression" and yard.mean.numel() and task.scale == "value":
        mean = yard.mean.to(out)
        return mean.mean().expand(out.shape) if mean.shape != out.shape[1:] else mean.expand(out.shape)
    shares = (yard.counts.float() / yard.counts.sum()).clamp(min=FLOOR).to(out) if yard.counts.numel() else None
    if shares is None or task.kind not in ("classes", "binary"):
        return None
    if task.kind == "binary" and (out.dim() < 2 or out.shape[1] == 1) and len(shares) == 2:
        share = shares[1] / shares.sum()
        return (share.logit() if task.scale == "logit" else share).expand(out.shape)
    if out.dim() < 2 or out.shape[1] != len(shares):
        return None
    given = shares if task.scale == "probability" else shares.log()
    return given.reshape(1, -1, *[1] * (out.dim() - 2)).expand(out.shape)


def loss_of(step: Step, task: Task, answer: Tensor) -> float:
    """The loss of other outputs."""
    assert task.output is not None
    program = behind(step.program, task.output, len(step.outside))
    return step.with_(program=program, outside=(*step.outside, answer)).loss()


def behind(program: Program, output: int, slot: int) -> Program:
    """The program with a value read from a slot: only the calls that the loss still needs."""
    turned = program.redirected(Value(output), Outside(slot))
    needed: set[int] = {turned.loss}
    kept: list[Call] = []
    for call in reversed(turned.calls):
        if needed & set(call.outs) and output not in call.outs:
            kept.append(call)
            needed |= {r.id for r in call.refs() if isinstance(r, Value)}
    return msgspec.structs.replace(turned, calls=tuple(reversed(kept)), slots=slot + 1)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 12)
y = x[:, :3].argmax(1)
model = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 3))
{first}
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for epoch in range(8):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(first="for p in model.parameters():\n    nn.init.normal_(p)")
QUIET = _SCRIPT.format(first="")
