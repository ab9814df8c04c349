"""The weights never move: the step is missing, comes too late, or finds its gradients cleared.

## Why it hurts

`backward()` computes gradients, `step()` spends them, `zero_grad()` throws them away. If the step is missing, or stands
behind a `zero_grad()` with no `backward()` between the two, every step is a step of zero: the loss changes from batch
to batch because the batches differ, and never falls. If the step stands behind the batch loop while the gradients are
cleared inside it, all batches but the last of each epoch are thrown away.

## How it is seen

The text is read. Within the block that holds `backward()`, as often as it is repeated, each step is preceded by the
nearest of `backward()` and `zero_grad()`; it should be the first. Also: no `step()` on any optimizer in the whole
program, no `backward()` at all, or one of them named and not called (`optimizer.step` without parentheses).

## What to do

In this order, once per batch: `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.step_after_backward import CallIt, StepAfterBackward
from unstuck.signals.steps import Event, Steps

FAULT = "no-step"


def check(steps: Steps) -> Iterator[Finding]:
    """The wrong order, the wrong loop, and what is missing."""
    named = list(_named_only(steps))
    yield from named
    if not named and not steps.elsewhere:
        yield from _cleared(steps)
        yield from _behind_the_loop(steps)
        yield from _missing_step(steps)
        yield from _missing_backward(steps)


def _named_only(steps: Steps) -> Iterator[Finding]:
    for node in steps.uncalled():
        code = steps.source.code(node)
        said = f"`{code}` is named but not called: it does nothing"
        yield _finding(steps, node, said, CallIt(steps.source.site(node)))


def _cleared(steps: Steps) -> Iterator[Finding]:
    for block in steps.blocks():
        for event in block:
            before = _before(block, event) if event.kind == "step" else None
            if before is None or before.kind != "clear" or any(e.sometimes for e in block):
                continue
            backward = next(e for e in block if e.kind == "backward")
            said = f"line {before.node.lineno} clears the gradients before line {event.node.lineno} spends them"
            sites = (steps.source.site(backward.node), steps.source.site(event.node), steps.source.site(before.node))
            yield _finding(steps, event.node, said, StepAfterBackward(*sites))


def _before(block: tuple[Event, ...], step: Event) -> Event | None:
    """What happened last to the gradients that a step finds, the block being repeated."""
    at = block.index(step)
    turned = (*block[at + 1 :], *block[:at])
    return next((e for e in reversed(turned) if e.kind == "backward" or (e.kind == "clear" and e.clears(step))), None)


def _behind_the_loop(steps: Steps) -> Iterator[Finding]:
    for backward, clear, step in steps.behind():
        said = (
            f"the step stands behind the batch loop; line {clear.lineno} has cleared all but the last batch's gradients"
        )
        sites = (steps.source.site(backward), steps.source.site(step), steps.source.site(clear))
        yield _finding(steps, step, said, StepAfterBackward(*sites))


def _missing_step(steps: Steps) -> Iterator[Finding]:
    if steps.lacks_step():
        backward = steps.training.backwards[0]
        name = steps.optimizer_name()
        said = "no line calls step() on the optimizer: the gradients are computed and never spent"
        remedies = (StepAfterBackward(steps.source.site(backward), optimizer=name),) if name else ()
        yield _finding(steps, backward, said, *remedies)


def _missing_backward(steps: Steps) -> Iterator[Finding]:
    if steps.lacks_backward():
        step = next(steps.steps())
        yield _finding(steps, step, "no line calls backward(): the step has no gradients to spend")


def _finding(steps: Steps, node: ast.AST, said: str, *remedies: object) -> Finding:
    site = steps.source.site(node)
    evidence = Evidence(
        "in the text", steps.source.code(steps.source.statement(node)), "zero_grad(), backward(), step()"
    )
    return Finding(FAULT, said, site, (evidence,), remedies, "error", demonstrated=f"line {site.line}: {said}")


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 4)
y = x[:, :1] - x[:, 1:2]
model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(10):
    for batch in torch.randperm(400).split(40):
        {first}loss = nn.functional.mse_loss(model(x[batch]), y[batch])
        loss.backward()
        {then}optimizer.step()
    print(epoch, loss.item())
"""
_CLEAR = "optimizer.zero_grad()\n        "

FIRES = _SCRIPT.format(first="", then=_CLEAR)
QUIET = _SCRIPT.format(first=_CLEAR, then="")
