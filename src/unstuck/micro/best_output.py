"""Whether the loss is smallest where the output equals its target.

## What it asks

If the network could answer anything: would the loss ask it for the target? And if not, which term of the loss asks for
something else?

## How

The output is cut out of the recorded step and becomes a free tensor, which starts at the target. It is moved down the
gradient of the loss for STEPS steps. Where the loss is smallest at the target, it stays.

## What it costs

STEPS forwards and backwards of the calls behind the output.

## What is healthy

The output stays at its target. A loss of several terms may trade one for another (a penalty on the output); only terms
that the target takes part in are told of. A term that leads away reads the target in another format, order or unit
than the output has: corners of a box in the place of its centre and size, degrees and radians.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import msgspec
import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step, one_number
from unstuck.micro.terms import inside, summands
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Values, Way, run
from unstuck.tape.program import Call, Outside, Program, Value
from unstuck.tape.site import Site

COST = 10
STEPS, RATE = 60, 0.05
"""Steps of Adam, each of about RATE standard deviations of the targets: three of them at most."""
AWAY = 0.5
"""Root mean square distance from the target, in its standard deviations, from which on the output is another one: of
a penalty beside a loss, the pull is weaker."""
GAINED = 0.05
"""Share of the loss's fall from the first outputs to the target by which it falls further on the way."""
MOST = 1_000_000
"""Numbers of the output."""


@dataclass(frozen=True)
class BestOutput:
    """Where the loss is smallest."""

    at_target: float
    """The loss where the output is its target, ..."""
    best: float
    """... and the smallest on the way down from there."""
    away: float
    """Distance of that output from the target, in standard deviations of the targets."""
    gained: float
    """Further fall of the loss, over its fall from the first outputs to the target."""
    terms: int = 1
    """Terms of the loss that the target takes part in."""
    term: str = ""
    """The call that makes the term which falls most, ..."""
    site: Site | None = None

    @property
    def elsewhere(self) -> bool:
        """The loss asks for another output than the target."""
        return self.away > AWAY and self.gained > GAINED

    @property
    def why(self) -> str:
        """Both losses."""
        if not self.elsewhere:
            return "the loss is smallest where the output equals its target"
        term = f"; {self.term}() asks for something else" if self.term else ""
        return (
            f"the loss is not smallest where the output equals its target: it is {self.at_target:.4g} there and "
            f"{self.best:.4g} with outputs {self.away:.2g} standard deviations away{term}"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """What was measured."""
        return {"at the target": self.at_target, "smallest": self.best, "distance": self.away}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the loss asks for something else."""
        if not self.elsewhere:
            return ()
        return (
            Statement(
                self.why, self.site, "best-output", self.numbers, "target-construction" if self.terms > 1 else ""
            ),
        )


def ask(recorded: Recorded) -> BestOutput:
    """Free the output. Raises NotApplicable where the output is not to be the target itself."""
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    tape, number = recorded.tape, main_program(recorded.tape)
    task = Task.read(tape)
    if task.kind != "regression" or task.scale != "value" or task.output is None or task.target is None:
        raise NotApplicable("the output is not compared with a target of its own units")
    step = recorded.step(next(i for i, p in enumerate(tape.passes) if p.program == number))
    output, target = step.values({task.output})[task.output], step.outside[task.target]
    if output.numel() != target.numel() or not 1 < output.numel() <= MOST:
        raise NotApplicable("the output has other numbers than its target")
    counts = task.counting.of(lambda slot: step.outside[slot]) if task.counting is not None else None
    if counts is not None and not bool(counts.all()):
        raise NotApplicable("some of the targets do not count")
    wanted = target.detach().reshape(output.shape).to(output.dtype)
    scale = float(wanted.double().std(correction=0))
    if not scale > 0 or not bool(torch.isfinite(wanted).all()):
        raise NotApplicable("the targets of the batch are all the same")
    freed = _freed(step, task.output)
    return _descended(freed, step.program, task, output.detach(), wanted, scale)


def _freed(step: Step, output: int) -> Step:
    """The step from its output on, which comes from outside, in a slot of its own at the end."""
    program = step.program.redirected(Value(output), Outside(step.program.slots))
    needed = _needed(program, {program.loss})
    calls = tuple(c for c in program.calls if not needed.isdisjoint(c.outs))
    tail = msgspec.structs.replace(program, calls=calls, slots=program.slots + 1)
    return step.with_(program=tail, outside=(*step.outside, torch.zeros(())))


def _needed(program: Program, wanted: Collection[int]) -> set[int]:
    needed = set(wanted)
    for call in reversed(program.calls):
        if not needed.isdisjoint(call.outs):
            needed |= {r.id for r in call.refs() if isinstance(r, Value)} | set(call.outs)
    return needed


def _descended(
    freed: Step, whole: Program, task: Task, output: Tensor, wanted: Tensor, scale: float
) -> BestOutput:  # fmt: skip
    parts = [p for p in summands(whole) if _reads(whole, p[0], _of_target(freed, wanted))]
    first, at_target = _values(freed, output, parts), _values(freed, wanted, parts)
    start, goal = float(first[whole.loss].mean()), float(at_target[whole.loss].mean())
    where = _lowest(freed, wanted, RATE * scale)
    after = _values(freed, where, parts)
    best = float(after[whole.loss].mean())
    away = float((where - wanted).double().square().mean().sqrt()) / scale
    found = BestOutput(goal, best, away, (goal - best) / max(abs(start - goal), 1e-12), max(1, len(parts)))
    return _with_term(found, whole, task, parts, at_target, after)


def _lowest(freed: Step, wanted: Tensor, rate: float) -> Tensor:
    """The output after STEPS steps down from the target, or where the loss was last a number on the way."""
    free, where = wanted.clone().requires_grad_(True), wanted
    optimizer = torch.optim.Adam([free], lr=rate)
    for _ in range(STEPS):
        with torch.enable_grad(), freed.drawing():
            loss = one_number(_run(freed, free, {freed.program.loss})[freed.program.loss])
            (gradient,) = torch.autograd.grad(loss, [free], allow_unused=True)
        if gradient is None or not bool(torch.isfinite(loss)):
            break
        where = free.detach().clone()
        free.grad = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        optimizer.step()
    return where


def _of_target(freed: Step, wanted: Tensor) -> frozenset[int]:
    """The slots that hold nothing but numbers of the target: it may enter in parts."""
    numbers = wanted.unique()
    slots = enumerate(freed.outside[:-1])
    return frozenset(
        n for n, t in slots if t.is_floating_point() and bool(torch.isin(t.to(wanted.dtype), numbers).all())
    )


def _run(freed: Step, output: Tensor, kept: Collection[int]) -> Values:
    return run(freed.program, freed.weights, (*freed.outside[:-1], output), {}, Way(freed.device), kept)


def _values(freed: Step, output: Tensor, parts: list) -> Values:
    with torch.no_grad(), freed.drawing():
        return _run(freed, output, {freed.program.loss, *(p[0] for p in parts)})


def _reads(program: Program, value: int, slots: Collection[int]) -> bool:
    needed = _needed(program, {value})
    made = (c for c in program.calls if not needed.isdisjoint(c.outs))
    return any(isinstance(r, Outside) and r.slot in slots for c in made for r in c.refs())


def _with_term(
    found: BestOutput, program: Program, task: Task, parts: list, before: Values, after: Values
) -> BestOutput:  # fmt: skip
    """With the term that falls most: where it is made, or the loss where it is the only one."""
    maker: Call | None = task.loss
    if len(parts) > 1:
        fall = lambda p: float((after[p[0]] - before[p[0]]).mean())
        maker = program.maker(inside(program, Value(min(parts, key=fall)[0])))
    name = maker.name if maker is not None and len(parts) == 1 else ""
    return replace(found, term=name, site=maker.site if maker is not None else None)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
low = torch.sigmoid(x[:, :2])
boxes = torch.cat([low, 0.2 + 0.4 * torch.sigmoid(x[:, 2:4])], 1)


def corners(b):
    return torch.cat([b[:, :2], b[:, :2] + b[:, 2:]], 1)


def overlap(a, b):
    inner = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    outer = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    union = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - inner
    return inner / (union + 1e-3) - (outer - union) / (outer + 1e-3)


model = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 4))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(8):
    for rows in torch.randperm(400).split(40):
        found = model(x[rows])
        near = nn.functional.l1_loss(found, boxes[rows])
        apart = (1 - overlap({found}, {wanted})).mean()
        loss = near + apart
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(found="found", wanted="boxes[rows]")
QUIET = _SCRIPT.format(found="corners(found)", wanted="corners(boxes[rows])")
