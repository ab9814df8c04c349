"""Whether the gradient that the script's backward makes is the derivative of its loss.

## What it asks

Has every weight the gradient that autograd computes from the recorded calls? A torch.autograd.Function brings a
backward of its own, and a hook may change a gradient on its way: neither is checked by anybody.

## How

The first step is made again with the derivatives of the calls themselves; the norm of each weight's gradient is
compared with the one that the script's backward left.

## What it costs

One step.

## What is healthy

All norms are equal but for one common factor (loss scaling). A backward of its own that stands in for a derivative of 0
(rounding, a straight-through estimator), or that only changes the gradient's size and hands the numbers on (gradient
reversal), is meant: it is not reported.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import msgspec

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded, Step, draws
from unstuck.signals.source import Source
from unstuck.tape.model import Tape
from unstuck.tape.site import Site

COST = 2
OFF = 0.05
"""A ratio of norms that differs by this share from that of most weights: rounding differs by less (see `FAITHFUL`)."""
NOTHING = 1e-4
"""A derivative below this share of the gradient in its place is none: something stands in for it on purpose, and
reaches other weights too."""
ROUNDED = 1e-6
"""Share of the largest gradient from which on a smaller one may be rounding alone: of a bias before a batch norm, whose
derivative is 0."""


@dataclass(frozen=True)
class OwnGradient:
    """The weights whose gradient is another than the derivative of the loss."""

    compared: int
    off: tuple[tuple[str, float, float], ...]
    """Name, norm of its gradient in the script, norm of the derivative (up to the common factor); the worst first."""
    own: tuple[str, ...] = ()
    """Functions of the step with a backward of their own."""
    site: Site | None = None

    @property
    def why(self) -> str:
        """How many gradients are no derivatives."""
        if not self.off:
            return f"the gradients of all {self.compared} weights are the derivatives of the loss"
        name, got, wanted = self.off[0]
        few = f"{len(self.off)} of {self.compared} weights have another gradient than the derivative of the loss"
        return f"{few}: that of {name} has norm {got:.3g} instead of {wanted:.3g}"

    @property
    def numbers(self) -> dict[str, float]:
        """Weights compared, weights off, and the norms of the worst."""
        worst = {"norm": self.off[0][1], "derivative": self.off[0][2]} if self.off else {}
        return {"weights": float(self.compared), "off": float(len(self.off)), **worst}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That gradients are no derivatives, and whose backward makes them."""
        if not self.off:
            return ()
        whose = f"; the step passes through the backward of {' and '.join(self.own)}" if self.own else ""
        return (Statement(f"{self.why}{whose}", self.site, "own-gradient", self.numbers),)


def ask(recorded: Recorded) -> OwnGradient:
    """Compare the first step's gradients. Raises NotApplicable where it draws random numbers, or they were not kept."""
    tape = recorded.tape
    first = tape.passes[0] if tape.passes else None
    if first is None or not first.gradient or first.stale or first.error or tape.facts.ranks.merged > 1:
        raise NotApplicable("the gradients of the first step are not known by themselves")
    program = tape.programs[first.program]
    step = Recorded(_runnable(tape), recorded.device, recorded.seconds).first
    if draws(program):
        raise NotApplicable("the step draws random numbers")
    if not step.trained:
        raise NotApplicable("no optimizer holds a weight of the step")
    off = tuple(_off(dict(zip(program.weights(), first.gradient, strict=True)), step))
    return OwnGradient(len(step.trained), off, program.own, _backward(tape, program.own))


def _runnable(tape: Tape) -> Tape:
    """The tape with the programs that only a backward of their own keeps from being run."""
    programs = (msgspec.structs.replace(p, missing="") if p.own else p for p in tape.programs)
    return msgspec.structs.replace(tape, programs=tuple(programs))


def _off(norms: dict[str, float], step: Step) -> Iterator[tuple[str, float, float]]:
    """The weights whose two norms have another ratio than those of most weights, or of the last ones."""
    made = {name: float(g.norm()) for name, g in step.backward().gradients.items()}
    known = {n: (norms[n], d) for n, d in made.items() if math.isfinite(norms.get(n, math.nan)) and math.isfinite(d)}
    least = ROUNDED * max((wanted for _, wanted in known.values()), default=0.0)
    told = {n: (got, wanted) for n, (got, wanted) in known.items() if wanted > least}
    if not told or any(wanted <= NOTHING * got for got, wanted in known.values() if got > 0):
        return
    factor = _common([got / wanted for got, wanted in told.values()])
    far = {n: abs(got / (wanted * factor) - 1) for n, (got, wanted) in told.items()}
    for name in sorted((n for n in far if far[n] > OFF), key=lambda n: -far[n]):
        yield name, told[name][0], told[name][1] * factor


def _common(ratios: list[float]) -> float:
    """The factor of a scaled loss: 1 where some weight has its derivative as it is."""
    return 1.0 if any(abs(r - 1) <= OFF for r in ratios) else median(ratios) or 1.0


def _backward(tape: Tape, own: tuple[str, ...]) -> Site | None:
    """The line where the first of these classes defines its backward."""
    if not own:
        return None
    source = Source.read(tape)
    bodies = (made.body for made in source.all(ast.ClassDef) if made.name in own)
    found = (d for body in bodies for d in body if isinstance(d, ast.FunctionDef) and d.name == "backward")
    return next(map(source.site, found), None)


_SCRIPT = """
import torch
from torch import nn


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * torch.sigmoid(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        s = torch.sigmoid(x)
        return grad * {slope}


torch.manual_seed(0)
x = torch.randn(400, 8)
y = (x[:, :1] * x[:, 1:2]).sum(1, keepdim=True)
first, second, last = nn.Linear(8, 32), nn.Linear(32, 32), nn.Linear(32, 1)
weights = [*first.parameters(), *second.parameters(), *last.parameters()]
optimizer = torch.optim.Adam(weights, lr=0.003)
for epoch in range(6):
    for rows in torch.randperm(400).split(40):
        optimizer.zero_grad()
        hidden = Swish.apply(second(Swish.apply(first(x[rows]))))
        loss = nn.functional.mse_loss(last(hidden), y[rows])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(slope="s * (1 - s)")
QUIET = _SCRIPT.format(slope="(s + x * s * (1 - s))")
