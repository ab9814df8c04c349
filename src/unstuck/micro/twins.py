"""Whether two inputs of a step are one and the same.

## What it asks

Do two different tensors that a network reads in one step (a state and the state after it, two views of a picture) hold
the same numbers, in every step?

## How

The tensors that enter the recorded steps are compared. Both are read by layers with weights.

## What it costs

Nothing is run.

## What is healthy

They differ. Where they never do, both were taken from one array that was changed in between, or what was to change one
of them (an augmentation, a noise) was not applied. A target that is the input, as an autoencoder has, is read by no
layer. Two networks that one line of the script gives the same expression are asked about the same rows, and a mask may
be given to several layers.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import combinations

from unstuck.diagnosis.model import NotApplicable, Statement
from unstuck.micro.step import Recorded
from unstuck.signals.task import main_program
from unstuck.tape.model import Pass, Tape
from unstuck.tape.program import Call, Outside, Program, Value

COST = 1
STEPS = 8
"""Different batches, at least."""
FEWEST = 16
"""Numbers of an input."""


@dataclass(frozen=True)
class Twins:
    """The first layers that read the same numbers from two tensors."""

    steps: int
    pair: tuple[Call, Call] | None = None
    shape: tuple[int, ...] = ()

    @property
    def why(self) -> str:
        """Where they are read."""
        if self.pair is None:
            return f"no two inputs of the step are equal in all of {self.steps} different batches"
        lines = " and ".join(str(c.site.line) if c.site else "?" for c in self.pair)
        return (
            f"two inputs of shape {list(self.shape)} (read by layers in lines {lines}) hold the same numbers in all of "
            f"{self.steps} different batches: are they one array that is changed in place after it was stored?"
        )

    @property
    def numbers(self) -> dict[str, float]:
        """Batches that were compared."""
        return {"batches": float(self.steps)}

    @property
    def statements(self) -> tuple[Statement, ...]:
        """That two inputs are one."""
        return (Statement(self.why, self.pair[1].site, "twins", self.numbers),) if self.pair is not None else ()


def ask(recorded: Recorded) -> Twins:
    """Compare what enters. Raises NotApplicable where fewer than two inputs are read by layers, or few batches are."""
    tape = recorded.tape
    number = main_program(tape)
    passes = list({p.outside: p for p in tape.passes if p.program == number}.values())
    readers = {slot: call for slot in range(tape.programs[number].slots) if (call := _reader(tape, number, slot))}
    if len(readers) < 2:
        raise NotApplicable("fewer than two inputs are read by layers")
    if len(passes) < STEPS:
        raise NotApplicable(f"fewer than {STEPS} different batches were recorded")
    for one, other in combinations(readers, 2):
        if _same(passes, one, other) and not _written_alike(tape, readers[one], readers[other]):
            shape = tuple(tape.tensors[passes[0].outside[one]].shape)
            return Twins(len(passes), (readers[one], readers[other]), shape)
    return Twins(len(passes))


def _same(passes: list[Pass], one: int, other: int) -> bool:
    """Whether two slots always hold the same, and not always the same batch: equal numbers have one key."""
    kinds = {p.outside[one] for p in passes}
    return len(kinds) >= STEPS and all(p.outside[one] == p.outside[other] for p in passes)


def _written_alike(tape: Tape, one: Call, other: Call) -> bool:
    """Whether the script gives one and the same expression to both: two networks are asked about the same rows."""
    given = [_given(tape, call) for call in (one, other)]
    return bool(given[0]) and given[0] == given[1]


def _given(tape: Tape, call: Call) -> str:
    """The arguments in the outermost line of the script that leads to a call, as text; "" where it is no call."""
    site = call.sites[-1] if call.sites else None
    lines = tape.sources.get(site.file, "").splitlines() if site is not None else []
    if site is None or not 0 < site.line <= site.end_line <= len(lines):
        return ""
    part = [line.encode() for line in lines[site.line - 1 : site.end_line]]
    part[-1] = part[-1][: site.end_column]
    part[0] = part[0][site.column :]
    try:
        node = ast.parse(b"\n".join(part).decode(), mode="eval").body
    except (SyntaxError, ValueError):
        return ""
    return ", ".join(map(ast.unparse, node.args)) if isinstance(node, ast.Call) else ""


def _reader(tape: Tape, number: int, slot: int) -> Call | None:
    """The first layer that reads an input of numbers, itself or behind calls without weights."""
    program = tape.programs[number]
    first = next(p for p in tape.passes if p.program == number)
    tensor = tape.tensors[first.outside[slot]]
    if not tensor.is_floating_point() or tensor.numel() < FEWEST or tensor.dim() < 2 or len(tensor.unique()) <= 2:
        return None  # of two numbers only: a mask, which several layers are given
    return _layer(program, slot)


def _layer(program: Program, slot: int) -> Call | None:
    waiting: list[Outside | Value] = [Outside(slot)]
    while waiting:
        for call in program.users(waiting.pop(0)):
            if call.weights():
                return call
            if call.op.hands_on or call.op.kind == "arithmetic":
                waiting += map(Value, call.outs)
    return None


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
net, target = nn.Linear(4, 2), nn.Linear(4, 2)
optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
memory, state = [], torch.randn(4)
for step in range(400):
    before = state{copy}
    state += 0.3 * torch.randn(4)
    memory.append((before, state{copy}, float(state[0])))
    if step % 10 == 9:
        now, later, reward = zip(*[memory[i] for i in torch.randint(0, len(memory), (16,)).tolist()])
        now, later, reward = torch.stack(now), torch.stack(later), torch.tensor(reward)
        with torch.no_grad():
            wanted = reward + 0.9 * target(later).amax(1)
        loss = (net(now)[:, 0] - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item())
"""

FIRES = _SCRIPT.format(copy="")
QUIET = _SCRIPT.format(copy=".clone()")
