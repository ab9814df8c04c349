"""The optimizer never updates the weights: `step()` is missing, or finds its gradients cleared.

## Why it hurts

`backward()` computes gradients, `step()` applies them, `zero_grad()` clears them. Without `step()`, or with
`zero_grad()` between `backward()` and `step()`, every update is zero: the loss varies from batch to batch and never
falls. With `step()` behind the batch loop and `zero_grad()` inside it, only the last batch of each epoch counts.

## How it is seen

The source shows the order of the three calls within the block that holds `backward()`; it also shows that `step()` or
`backward()` is never called, or is named without parentheses (`optimizer.step`). The run confirms or denies it: updates
that found no gradient, steps per backward, and weights that are the same at the end as at the start. Where the text
does not show the order (a trainer class, an optimizer made in another file), the order in which the run made its first
calls does, with their lines. Where several backward passes belong to one step (gradient accumulation), each that finds
the gradients of the one before cleared shows that these were thrown away.

## What to do

Once per batch, in this order: `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from unstuck.diagnosis.model import Effect, Evidence, Finding, Known, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.step_after_backward import CallIt, StepAfterBackward
from unstuck.signals.loop_order import LoopOrder
from unstuck.signals.steps import Event, Steps
from unstuck.signals.thrown_away import ThrownAway
from unstuck.tape.model import Tape

FAULT = "no-step"
STAGE = Stage.WIRING
NEVER_MEANT = True
HALF = 0.5
"""Share of backward passes without effect: clearing in every micro-batch loses at least one of two."""
FEWEST = 8
"""Updates without a gradient, from this number on: single ones are skipped batches."""
SHOWN = 9
"""Calls of the run that the evidence shows: three steps."""


@dataclass(frozen=True)
class _Moves:
    """What the tape shows of updates and weights."""

    backwards: int
    updates: int
    empty: int
    """Updates that found no gradient although a backward had made some."""
    weights: int
    still: int
    """Trainable weights that are the same at the end as at the start."""

    @classmethod
    def of(cls, tape: Tape) -> _Moves:
        ends = [p.name for p in tape.parameters if p.trainable and not p.buffer and f"f:{p.name}" in tape.tensors]
        still = sum(torch.equal(tape.start(name), tape.tensors[f"f:{name}"]) for name in ends)
        empty = sum(u.empty for u in tape.updates)
        return cls(len(tape.passes), len(tape.updates), empty, len(ends), still)

    @property
    def frozen(self) -> bool:
        """No weight has moved."""
        return 0 < self.weights == self.still and self.backwards > 1

    @property
    def denied(self) -> bool:
        """Every update had a gradient, and weights have moved."""
        return self.updates >= self.backwards > 1 and not self.empty and self.still < self.weights

    def evidence(self) -> Iterator[Evidence]:
        if self.backwards:
            yield Evidence("optimizer updates with a gradient", self.updates - self.empty, str(self.backwards))
        if self.weights:
            yield Evidence("weight tensors that never changed", f"{self.still} of {self.weights}", "0")


def check(steps: Steps, tape: Tape, away: ThrownAway | None, order: LoopOrder | None) -> Iterator[Finding]:
    """Report the wrong order, the wrong loop and missing calls; what the run contradicts is dropped."""
    if away is not None and away.share >= HALF:
        yield _thrown_away(steps, away, order)
        return
    moves = _Moves.of(tape)
    found = list(_named_only(steps, moves))
    if not found and not steps.elsewhere and not moves.denied:
        found = [
            *_cleared(steps, moves),
            *_behind_the_loop(steps, moves),
            *_missing_step(steps, moves, order),
            *_missing_backward(steps, moves),
        ]
    if not found and not moves.denied and order is not None:
        found = list(_lost(order, moves))
    yield from found
    if not found and moves.frozen and FEWEST <= moves.updates == moves.empty and _had_gradients(tape):
        said = f"gradients are cleared before each of the {moves.updates} optimizer steps, so no weight ever changes"
        known, effect = _graded(moves)
        yield Finding(FAULT, said, None, tuple(moves.evidence()), (), "error", known=known, effect=effect)
    if not found and steps.training.optimizers and moves.frozen and moves.backwards >= FEWEST and not moves.updates:
        said = (
            f"no optimizer steps in {moves.backwards} backward passes: no weight ever changes; call step() after each"
        )
        known, effect = _graded(moves)
        site = order.backward.site if order is not None else tape.programs[tape.passes[-1].program].calls[-1].site
        remedies = _stepping(steps, order)
        yield Finding(FAULT, said, site, tuple(moves.evidence()), remedies, "error", known=known, effect=effect)


def _thrown_away(steps: Steps, away: ThrownAway, order: LoopOrder | None) -> Finding:
    """Gradients of most batches are cleared before any step: an accumulation that does not accumulate."""
    told = f"{away.lost} of {away.backwards} backward passes"
    said = f"gradients of {told} are cleared before any step uses them; call zero_grad() once per step"
    clears = (e.node for block in steps.blocks() for e in block if e.kind == "clear" and not e.sometimes)
    node, seen = next(clears, None), order.thrown_away() if order is not None else None
    site = steps.source.site(node) if node is not None else seen.site if seen is not None else None
    evidence = (Evidence("backward passes whose gradients no step used", away.lost, f"0 of {away.backwards}"),)
    sure = proven(f"{told} had no effect on the {away.steps} steps")
    return Finding(FAULT, said, site, evidence, (), "error", known="observed", effect=sure)


def _lost(order: LoopOrder, moves: _Moves) -> Iterator[Finding]:
    """The order of the calls, where the text does not show it."""
    lost = order.lost()
    if lost is None or lost.step.site is None:
        return
    three = order.movable(lost.backward, lost.step, lost.clear)
    sites = three or order.movable(lost.backward, lost.step)
    where = three[2] if three else lost.clear.site
    line = "" if where is None else f" in line {where.line}" if three else f" ({where.file}:{where.line})"
    said = f"zero_grad(){line} clears the gradients before step(): updates are zero"
    remedies = (StepAfterBackward(sites[0], sites[1], three[2] if three else None),) if sites else ()
    calls = " ".join(c.kind for c in order.tape.facts.calls[:SHOWN])
    evidence = (Evidence("calls of the run, in order", calls, "clear backward step"), *moves.evidence())
    yield _told(moves, sites[1] if sites else lost.step.site, said, evidence, remedies)


def _stepping(steps: Steps, order: LoopOrder | None) -> tuple[StepAfterBackward, ...]:
    """A step behind the backward that was seen, where the optimizer has one name there."""
    node = order.node(order.backward.sites[0]) if order is not None else None
    name = steps.optimizer_name(node) if node is not None else ""
    return (StepAfterBackward(steps.source.site(node), optimizer=name),) if node is not None and name else ()


def _had_gradients(tape: Tape) -> bool:
    """Whether backward left gradients in weights that an optimizer holds."""
    held = {p.name for p in tape.parameters if p.optimizer >= 0}
    norms = ((n, g) for p in tape.passes for n, g in zip(tape.programs[p.program].weights(), p.gradient, strict=False))
    return any(name in held and norm > 0 for name, norm in norms)


def _named_only(steps: Steps, moves: _Moves) -> Iterator[Finding]:
    for node in steps.uncalled():
        code = steps.source.code(node)
        said = f"`{code}` is not called; write `{code}()`"
        yield _finding(steps, moves, node, said, CallIt(steps.source.site(node)))


def _cleared(steps: Steps, moves: _Moves) -> Iterator[Finding]:
    for block in steps.blocks():
        for event in block:
            before = _before(block, event) if event.kind == "step" else None
            if before is None or before.kind != "clear" or any(e.sometimes for e in block):
                continue
            backward = next(e for e in block if e.kind == "backward")
            said = f"zero_grad() in line {before.node.lineno} clears the gradients before step(): updates are zero"
            sites = (steps.source.site(backward.node), steps.source.site(event.node), steps.source.site(before.node))
            yield _finding(steps, moves, event.node, said, StepAfterBackward(*sites))


def _before(block: tuple[Event, ...], step: Event) -> Event | None:
    """The last backward or zero_grad() before a step, in a block that is repeated."""
    at = block.index(step)
    turned = (*block[at + 1 :], *block[:at])
    return next((e for e in reversed(turned) if e.kind == "backward" or (e.kind == "clear" and e.clears(step))), None)


def _behind_the_loop(steps: Steps, moves: _Moves) -> Iterator[Finding]:
    for backward, clear, step in steps.behind():
        said = f"step() stands behind the batch loop, and line {clear.lineno} clears all gradients but the last batch's"
        sites = (steps.source.site(backward), steps.source.site(step), steps.source.site(clear))
        yield _finding(steps, moves, step, said, StepAfterBackward(*sites))


def _missing_step(steps: Steps, moves: _Moves, order: LoopOrder | None) -> Iterator[Finding]:
    if steps.lacks_step():
        seen = order.node(order.backward.sites[0]) if order is not None else None
        backward = seen or steps.training.backwards[0]
        name = steps.optimizer_name(backward)
        said = "optimizer.step() is never called: gradients are computed and never applied"
        remedies = (StepAfterBackward(steps.source.site(backward), optimizer=name),) if name else ()
        yield _finding(steps, moves, backward, said, *remedies)


def _missing_backward(steps: Steps, moves: _Moves) -> Iterator[Finding]:
    if steps.lacks_backward():
        step = next(steps.steps())
        yield _finding(steps, moves, step, "backward() is never called: step() has no gradients to apply")


def _finding(steps: Steps, moves: _Moves, node: ast.AST, said: str, *remedies: object) -> Finding:
    code = steps.source.code(steps.source.statement(node))
    evidence = (Evidence("source", code, "zero_grad(), backward(), step()"), *moves.evidence())
    return _told(moves, steps.source.site(node), said, evidence, remedies)


def _told(
    moves: _Moves, site: Site | None, said: str, evidence: tuple[Evidence, ...], remedies: tuple[object, ...]
) -> Finding:
    known, effect = _graded(moves)
    return Finding(FAULT, said, site, evidence, remedies, "error", known=known, effect=effect)


def _graded(moves: _Moves) -> tuple[Known, Effect]:
    """Proven if no weight has moved, observed if gradients were discarded, else read."""
    if moves.frozen:
        return "observed", proven(f"none of the {moves.weights} weight tensors changed in {moves.backwards} backwards")
    lost = moves.backwards > 1 and moves.updates - moves.empty < moves.backwards
    return ("observed" if lost else "read"), Effect()


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
