"""Something cuts the way of the gradient from the loss to the weights.

## Why it hurts
Gradients flow back along the calls that made the loss. `.detach()`, `.data`, `.item()`, `.numpy()`, `torch.tensor(...)`
of a result and everything under `torch.no_grad()` have no past: weights behind such a cut get no gradient, or (in a
network that is unrolled over time) only that of the last step. Some scripts stop with "does not require grad"; others
set `requires_grad` on the loss, and then run through without learning anything.

## How it is seen
The recorded step is followed back from the loss. Where no way leads to any trainable weight, that is the fault. Where
only some ways are cut it may be meant (a target that must not move, a gradient passed straight through): then the step
is replayed without the cut.

## What to do
Compute the loss from the network's own output, as a tensor; use `.detach()` and `.item()` only for what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Site
from unstuck.remedies.keep_graph import KeepGraph
from unstuck.signals.learning import Learning
from unstuck.signals.reachability import taught_by
from unstuck.signals.task import main_program
from unstuck.tape.abstract import Knowns
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program

FEW = 3
"""Cuts that are tried."""
LEARNT = 0.9
"""A run of this skill is not held up by what it cuts."""
MOSTLY = 0.8
"""Share of the passes before which a network runs by itself, if it takes part in the training."""
PASSES = 20
"""Passes below which such a share says little."""


def check(tape: Tape, learning: Learning | None) -> Iterator[Finding]:
    """Follow the loss back; look at what cuts the way."""
    if not tape.passes:
        raise NotApplicable("no training step was recorded")
    trainable = {p.name for p in tape.parameters if p.trainable}
    if not any(taught_by(tape.programs[n]) & trainable for n in {p.program for p in tape.passes}):
        yield from _severed(tape)
    elif learning is None or learning.final < LEARNT:
        yield from _partly(tape, trainable)
        yield from _out_of_sight(tape, trainable)


def _severed(tape: Tape) -> Iterator[Finding]:
    """No weight is reached at all."""
    program = _forward(tape)
    cut = _cut(program) if program else None
    site = cut.site if cut and cut.site else _stopped_at(tape)
    raised = tape.passes[-1].error
    said = "the loss does not depend on any trainable weight: the graph is cut" + (f" by {_named(cut)}" if cut else "")
    told = "no call leads from a weight to the loss with its gradient" + (
        f"; backward() stops with {raised[:90]}" if raised else ""
    )
    evidence = Evidence("trainable weights that the loss reaches", 0, "all that are trained")
    remedies = (KeepGraph(site),) if site else ()
    if program is None or not _trains(tape, program):
        return
    yield Finding("graph-detached", said, site, (evidence,), remedies, "error", demonstrated=told)


def _trains(tape: Tape, program: Program) -> bool:
    """Whether trainable weights take part, so that a way to them is missed."""
    trainable = {p.name for p in tape.parameters if p.trainable}
    return bool(trainable & set(program.weights()))


def _forward(tape: Tape) -> Program | None:
    """The program that reads weights: the step's own, or (where the loss has lost all trace of them) the forward."""
    numbers = [p.program for p in tape.passes] + [e.program for e in tape.evaluations if e.after <= len(tape.passes)]
    return next((tape.programs[n] for n in numbers if tape.programs[n].calls), None)


def _cut(program: Program) -> Call | None:
    """The last cut; where there is none in sight, it came after the last call seen."""
    found = [c for c in Knowns(program).cuts() if c.site]
    return found[-1] if found else next((c for c in reversed(program.calls) if c.site), None)


def _stopped_at(tape: Tape) -> Site | None:
    sites = (tape.error or {}).get("sites", ())
    return next((Site(s["file"], s["line"]) for s in sites), None)


def _named(call: Call | None) -> str:
    if call is None:
        return ""
    if not call.grad:
        return f"no_grad around {call.name}"
    return {"detach": "detach()", "data": ".data"}.get(call.name, f"what happens to the result of {call.name}")


def _partly(tape: Tape, trainable: set[str]) -> Iterator[Finding]:
    program = tape.programs[main_program(tape)]
    behind = trainable & set(program.weights()) - taught_by(program)
    every = Knowns(program).cuts()
    plain = [c for c in every if c.site and c.op.cuts != "flat"]
    # What runs under no_grad and keeps nothing from learning is bookkeeping (a power iteration, a running mean).
    cuts = {c.site: c for c in plain if c.site and (c.grad or behind)}
    for site, call in list(cuts.items())[:FEW]:
        count = sum(c.site == site for c in every)
        said = f"{_named(call)} cuts the way of the gradient" + (
            f" to {len(behind)} weights" if behind else f", {count} times in a step"
        )
        evidence = (
            Evidence("calls that cut", count, "none"),
            Evidence("trainable weights out of reach", len(behind), "none"),
        )
        yield Finding("graph-detached", said, site, evidence, (KeepGraph(site),))


def _out_of_sight(tape: Tape, trainable: set[str]) -> Iterator[Finding]:
    """An optimizer holds weights that run with gradients before every step, and no loss ever reaches them."""
    taught = {name for n in {p.program for p in tape.passes} for name in taught_by(tape.programs[n])}
    idle = {p.name for p in tape.parameters if p.name in trainable and p.optimizer >= 0} - taught
    alone = [e for e in tape.evaluations if e.grad and idle & set(tape.programs[e.program].weights())]
    before = {e.after for e in alone}
    if len(before) < PASSES or len(before) < MOSTLY * (1 + max(before)):
        return
    program = tape.programs[alone[0].program]
    last = next((c for c in reversed(program.calls) if c.site), None)
    held = sorted(idle & set(program.weights()))
    said = f"what {held[0]} and {len(held) - 1} other weights compute leaves the graph before the loss"
    told = f"an optimizer holds them, they run before {len(before)} steps, and none of the gradients reaches them"
    evidence = Evidence("trainable weights out of reach", len(held), "none")
    yield Finding("graph-detached", said, last.site if last else None, (evidence,), (), "error", demonstrated=told)


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
steps = torch.randn(600, 8, 3)
label = (steps[:, 1, 0] > 0).long()


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(3, 24)
        self.out = nn.Linear(24, 2)

    def forward(self, x):
        h = torch.zeros(len(x), 24)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
            if t < x.shape[1] - 1:
                h = h.detach()
        return self.out(h)


model = Reader()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(12):
    for rows in torch.randperm(600).split(30):
        loss = nn.functional.cross_entropy(model(steps[rows]), label[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("            if t < x.shape[1] - 1:\n                h = h.detach()\n", "")
