"""The terms of a summed loss, and their gradients side by side.

## What it asks

Where the loss is a sum of terms: how large is each, and how much of the gradient on the weights that they share does
each give?

## How

The last additions of the loss are taken apart, down to the first mean, sum or loss function. In the first steps, made
again, each term is differentiated for itself.

## What it costs

As many backwards as there are terms, in STEPS steps.

## What is healthy

No term that the data take part in is drowned by another on the weights that both shape. A weight penalty may be small.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step
from unstuck.micro.training import Training
from unstuck.signals.task import Task, main_program
from unstuck.tape.interpreter import Way, run
from unstuck.tape.program import Call, Outside, Program, Value

COST = 14
STEPS = 8
"""Steps in which the terms are differentiated: the first gradients of a term may be near 0 by the first weights."""
FEW, MOST = 2, 6
"""Terms of a sum that are looked at."""
ADDING = {"add", "iadd", "radd", "sub", "isub", "rsub"}
SCALING = {"mul", "rmul", "imul", "div", "truediv", "neg"}
REDUCING = {"sum", "mean"}
DROWNED = 1e-3
"""Share of the gradient below which a term of the data is told of: a thousandth does not turn a step."""


@dataclass(frozen=True)
class Term:
    """One summand of the loss."""

    value: int
    """The value that is added, with its factors."""
    joint: Call
    """The addition that it is an operand of, ..."""
    operand: int
    """... and which one."""
    maker: Call | None
    """The call that makes it, before factors."""
    size: float
    """In the first step."""
    share: float
    """Of the sum of the terms' gradient norms on the weights that they share; median over the steps."""
    summed: bool
    """It is a sum over everything, not a mean."""
    asked: bool
    """The task's loss is in it."""
    of_data: bool
    """Something that enters the step takes part in it."""

    @property
    def name(self) -> str:
        """The call that makes it, and its line."""
        if self.maker is None:
            return "a term"
        line = f" in line {self.maker.site.line}" if self.maker.site is not None else ""
        return f"{self.maker.name}(){line}"


@dataclass(frozen=True)
class Terms:
    """The terms of the main program's loss."""

    terms: tuple[Term, ...]
    numel: int
    """Numbers in the task's output."""

    @property
    def why(self) -> str:
        """Every term with its share of the gradient."""
        told = ", ".join(f"{t.name} {t.share:.2g}" for t in self.terms)
        return f"shares of the gradient on the weights that the terms of the loss have in common: {told}"

    @property
    def numbers(self) -> dict[str, float]:
        """The share of each term."""
        return {f"share of {t.name}": t.share for t in self.terms}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """Whether the term with the targets is drowned; where none is known, which of those with data is. A penalty may
        be small."""
        known = any(t.asked for t in self.terms)
        lost = [t for t in self.terms if t.share < DROWNED and (t.asked if known else t.of_data)]
        loud = max(self.terms, key=lambda t: t.share)
        said = "of the gradient on the weights that the terms of the loss share, {} gives {:.2%} and {} {:.2%}"
        return tuple(
            Statement(
                said.format(loud.name, loud.share, t.name, t.share), loud.joint.site, "terms", self.numbers,
                "loss-balance",
            )
            for t in lost
        )  # fmt: skip


def ask(recorded: Recorded) -> Terms:
    """Take the loss apart. Raises NotApplicable where it is no sum of terms that share weights."""
    tape, number = recorded.tape, main_program(recorded.tape)
    program, task = tape.programs[number], Task.read(tape)
    parts = list(summands(program))
    if not FEW <= len(parts) <= MOST:
        raise NotApplicable("the loss is not a sum of a few terms")
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    training, shares, sizes = Training(recorded), list[list[float]](), list[float]()
    while len(shares) < STEPS and training.at < min(len(tape.passes), 4 * STEPS):
        mine = tape.passes[training.at].program == number
        step = training.step().with_(seed=training.at)
        if mine:
            found = _gradients(step, [value for value, *_ in parts])
            shares.append(found[0])
            sizes = sizes or found[1]
        training.advance(step.backward().gradients)
    if not shares or not sizes:
        raise NotApplicable("the terms share no weights")
    made = zip(parts, sizes, zip(*shares, strict=True), strict=True)
    terms = tuple(_term(program, task, part, size, median(share)) for part, size, share in made)
    out = next((c for c in program.calls if task.output is not None and task.output in c.outs), None)
    return Terms(terms, _numel(out.shape) if out is not None else 0)


Part = tuple[int, Call, int]
"""A summand's value, the addition that it is an operand of, and which operand."""


def summands(program: Program) -> Iterator[Part]:
    """The terms that the loss is the sum of: operands of its last additions, but of numbers."""
    loss = inside(program, Value(program.loss), reduced=True)
    maker = program.maker(loss)
    if maker is not None and _adds(maker):
        yield from _operands(program, maker)


def _operands(program: Program, joint: Call) -> Iterator[Part]:
    refs = [a for a in joint.args[:2] if isinstance(a, Value)]
    for ref in refs:
        inner = program.maker(inside(program, ref))
        if inner is not None and _adds(inner):
            yield from _operands(program, inner)
        else:
            yield ref.id, joint, joint.args.index(ref)


def _adds(call: Call) -> bool:
    return call.name in ADDING and len([a for a in call.args[:2] if isinstance(a, Value)]) == 2


def inside(program: Program, ref: Value, reduced: bool = False) -> Value:
    """What a value is made of by factors that are numbers (and, where `reduced`, by a mean or sum over everything)."""
    while (call := program.maker(ref)) is not None:
        inner = [r for r in call.refs() if isinstance(r, Value)]
        plain = call.name in SCALING | {"add", "radd"} or call.op.hands_on == "all"
        if len(inner) != 1 or len(call.refs()) != 1 or not (plain or (reduced and _reduces(call))):
            break
        ref = inner[0]
    return ref


def _reduces(call: Call) -> bool:
    return call.name in REDUCING and call.shape == ()


def _gradients(step: Step, parts: list[int]) -> tuple[list[float], list[float]]:
    """Per term: its share of the gradient norms on the weights that all of them reach, and its size."""
    leaves = {n: w.detach().requires_grad_(n in step.trained) for n, w in step.weights.items()}
    with torch.enable_grad(), step.drawing():
        values = run(step.program, leaves, tuple(t.clone() for t in step.outside), {}, Way(step.device, True), parts)
        given = [values[part].mean() for part in parts]
        asked = [leaves[n] for n in sorted(step.trained)]
        made = [_of(term, asked) for term in given]
    common = [i for i in range(len(asked)) if all(g[i] is not None for g in made)]
    if not common:
        raise NotApplicable("the terms share no weights")
    norms = [float(torch.stack([g[i].double().square().sum() for i in common]).sum().sqrt()) for g in made]
    total = sum(norms)
    if not total > 0:
        raise NotApplicable("the terms have no gradient on the weights that they share")
    return [norm / total for norm in norms], [float(term.detach()) for term in given]


def _of(term: Tensor, asked: list[Tensor]) -> list:
    if not term.requires_grad:
        return [None] * len(asked)
    return list(torch.autograd.grad(term, asked, retain_graph=True, allow_unused=True))


def _term(program: Program, task: Task, part: Part, size: float, share: float) -> Term:
    value, joint, operand = part
    behind = list(_behind(program, Value(value)))
    within = inside(program, Value(value))
    maker = program.maker(within)
    loss = task.loss if task.output is not None else None
    summed = maker is not None and (maker.name == "sum" or maker.kwargs.get("reduction") == "sum")
    asked = loss is not None and any(c is loss for c in behind)
    of_data = any(isinstance(r, Outside) for c in behind for r in c.refs())
    return Term(value, joint, operand, maker, size, share, summed, asked, of_data)


def _behind(program: Program, ref: Value) -> Iterator[Call]:
    """The calls that a value is made by."""
    wanted = {ref.id}
    for call in reversed(program.calls):
        if wanted & set(call.outs):
            yield call
            wanted |= {r.id for r in call.refs() if isinstance(r, Value)}


def _numel(shape: tuple[int, ...]) -> int:
    numel = 1
    for size in shape:
        numel *= size
    return numel


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.sigmoid(torch.randn(600, 3) @ torch.randn(3, 40) * 2)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(40, 64), nn.ReLU())
        self.mean, self.spread = nn.Linear(64, 4), nn.Linear(64, 4)
        self.decoder = nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 40), nn.Sigmoid())

    def forward(self, x):
        h = self.encoder(x)
        mean, spread = self.mean(h), self.spread(h)
        code = mean + torch.randn_like(mean) * torch.exp(0.5 * spread)
        return self.decoder(code), mean, spread


model = Autoencoder()
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(16):
    for rows in torch.randperm(600).split(40):
        again, mean, spread = model(x[rows])
        likely = nn.functional.mse_loss(again, x[rows])
        apart = -0.5 * torch.{reduction}(1 + spread - mean**2 - torch.exp(spread))
        loss = likely + {weight}apart
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(epoch, likely.item(), apart.item())
"""

FIRES = _SCRIPT.format(reduction="sum", weight="")
QUIET = _SCRIPT.format(reduction="mean", weight="0.01 * ")
