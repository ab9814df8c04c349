"""Whether the target that the loss compares with is made by the network itself, with gradients.

## What it asks

Does the loss compare two values of one network for different inputs, one of them discounted and added to something from
outside, and does the gradient flow into that target? Where would the step go without it?

## How

Both values are followed back through the calls that gradients flow through. The gradient is then taken twice, as the
script takes it and with the target cut off from the graph, at the first weights and at those at the end of the run.

## What it costs

Four forwards and backwards of the recorded step.

## What is healthy

A bootstrapped target is a number: no gradient flows into it. With one, the step also moves the target towards the value
that it is there to correct. Losses that compare two views of one row, or derivatives at one point, are no such case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import torch

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.answers import last_weights
from unstuck.micro.step import Recorded, Step, Weights
from unstuck.signals.task import main_program
from unstuck.tape.ops import LOSSES, SUBTRACTIONS
from unstuck.tape.program import Call, Outside, Program, Ref, Value, leaves
from unstuck.tape.site import Site

COST = 6
FAULT = "target-construction"
SCALING, ADDING = {"mul", "rmul", "imul"}, {"add", "radd", "iadd"}


@dataclass(frozen=True)
class Bootstrap:
    """A target with gradients, and what they do to the step."""

    call: Call
    """What compares the two values."""
    operand: int
    """Which of the two is the target."""
    made: Call
    """The addition that makes the target."""
    turned: tuple[float, ...]
    """Cosine between the gradient as it is and without the target's part, at the first weights and at the last."""

    @property
    def site(self) -> Site | None:
        """Where the target is made."""
        return self.made.site or self.call.site

    @property
    def why(self) -> str:
        """What flows where."""
        turned = " and ".join(f"{c:.2f}" for c in self.turned)
        return (
            f"the gradient flows into the target that the network makes itself; its cosine with that without: {turned}"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The smallest cosine."""
        return {"cosine": min(self.turned)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That the gradient flows into a target."""
        return (Statement(self.why, self.site, "bootstrap", self.numbers, FAULT),)


def ask(recorded: Recorded) -> Bootstrap:
    """Look for such a target. Raises NotApplicable where the loss compares nothing of the kind."""
    tape, number = recorded.tape, main_program(recorded.tape)
    found = next(bootstrapped(tape.programs[number], set(recorded.trained)), None)
    if found is None:
        raise NotApplicable("no target with gradients is made by the network itself")
    recorded.first  # noqa: B018 (raises where the step cannot be run again)
    step = recorded.step(next(i for i, p in enumerate(tape.passes) if p.program == number))
    end = last_weights(recorded, step)
    steps = (step, step.with_(weights=end)) if end is not None else (step,)
    return Bootstrap(*found, tuple(_turned(s, found[0], found[1]) for s in steps))


def _turned(step: Step, call: Call, operand: int) -> float:
    """Cosine between the gradients with and without the target's part."""
    cut = step.with_(program=detached(step.program, call, operand))
    one, other = _flat(step.backward().gradients), _flat(cut.backward().gradients)
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def _flat(gradients: Weights) -> torch.Tensor:
    return torch.cat([gradients[n].double().flatten() for n in sorted(gradients)])


def detached(program: Program, call: Call, operand: int) -> Program:
    """The program with one of two compared values cut off from the graph."""
    target, out = call.args[operand], program.fresh()
    cut = Call("torch.Tensor.detach", (target,), {}, (out,), call.sites, call.grad, call.shape)
    args = tuple(Value(out) if i == operand else a for i, a in enumerate(call.args))
    return program.replaced(call, cut, msgspec.structs.replace(call, args=args))


def bootstrapped(program: Program, trained: set[str]) -> Iterator[tuple[Call, int, Call]]:
    """Each comparison with such a target: the call, which operand the target is, and the addition that makes it."""
    for call, *values in compared(program):
        one, other = (side(program, value, trained) for value in values)
        for operand, (target, state) in enumerate(((one, other), (other, one))):
            if target.bootstrapped is not None and _same_weights(target, state):
                yield call, operand, target.bootstrapped


@dataclass(frozen=True)
class Side:
    """What one of the two compared values is made of, with gradients."""

    weights: frozenset[str]
    slots: frozenset[int]
    """What enters the network on its way to the value."""
    bootstrapped: Call | None
    """The addition of something from outside to a discounted value of the network; None where there is none."""


def _same_weights(target: Side, state: Side) -> bool:
    """One network, asked about two different inputs."""
    return bool(target.weights) and target.weights <= state.weights and not target.slots <= state.slots


def compared(program: Program) -> Iterator[tuple[Call, Value, Value]]:
    """Losses and differences of two values that calls make."""
    for call in program.calls:
        given = [a for a in call.args[:2] if isinstance(a, Value)]
        if call.name in LOSSES | SUBTRACTIONS and len(given) == 2:
            yield call, given[0], given[1]


def side(program: Program, value: Value, trained: set[str]) -> Side:
    """What a value is made of by calls through which gradients flow."""
    behind = list(_behind(program, {value.id}))
    reading = [c for c in behind if trained & set(c.weights())]
    fed = [*reading, *_behind(program, {r.id for c in reading for r in c.refs() if isinstance(r, Value)})]
    weights = frozenset(n for c in reading for n in c.weights() if n in trained)
    slots = frozenset(r.slot for c in fed for r in c.refs() if isinstance(r, Outside))
    discounted, added = set[Ref](), list[Call]()
    for call in reversed(behind):
        if _discounts(call) or _hands_on(call, discounted):
            discounted |= {Value(out) for out in call.outs}
        elif _adds_from_outside(call, discounted):
            added.append(call)
    return Side(weights, slots, added[0] if added else None)


def _behind(program: Program, wanted: set[int]) -> Iterator[Call]:
    """The calls that values are made by and that gradients flow through, last first."""
    wanted = set(wanted)
    for call in reversed(program.calls):
        if wanted & set(call.outs) and call.grad and not call.op.cuts:
            yield call
            wanted |= {r.id for r in call.refs() if isinstance(r, Value)}


def _discounts(call: Call) -> bool:
    """A number between 0 and 1, or something from outside (the discount where no episode ends), is a factor."""
    numbers = [a for a in leaves((call.args, call.kwargs)) if isinstance(a, float)]
    factor = any(0 < n < 1 for n in numbers) or any(isinstance(r, Outside) for r in call.refs())
    return call.name in SCALING and factor and any(isinstance(r, Value) for r in call.refs())


def _hands_on(call: Call, discounted: set[Ref]) -> bool:
    """A call that only changes the shape."""
    return bool(discounted & set(call.refs())) and bool(call.op.hands_on)


def _adds_from_outside(call: Call, discounted: set[Ref]) -> bool:
    return call.name in ADDING and bool(discounted & set(call.refs())) and any(
        isinstance(r, Outside) for r in call.refs()
    )  # fmt: skip


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
where = torch.rand(4000, 2) * 2 - 1
push = torch.randint(0, 3, (4000,))
after = (where + torch.stack([0.2 * (push - 1.0), torch.zeros(4000)], 1) + 0.02 * torch.randn(4000, 2)).clamp(-1, 1)
reward = (after[:, 0] > 0.8).float()
done = reward
model = nn.Sequential(nn.Linear(2, 48), nn.ReLU(), nn.Linear(48, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
for epoch in range(10):
    for rows in torch.randperm(4000).split(100):
        value = model(where[rows]).gather(1, push[rows, None]).squeeze(1)
        following = model(after[rows]).max(1).values{cut}
        target = reward[rows] + 0.95 * following * (1 - done[rows])
        loss = nn.functional.smooth_l1_loss(value, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    print("share of pushes to the right", (model(where).argmax(1) == 2).float().mean().item())
"""

FIRES = _SCRIPT.format(cut="")
QUIET = _SCRIPT.format(cut=".detach()")
