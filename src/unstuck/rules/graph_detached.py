"""The autograd graph is cut between the weights and the loss: their gradient is None or incomplete.

## Why it hurts
Gradients flow back along the calls that made the loss. `.detach()`, `.data`, `.item()`, `.numpy()`, `torch.tensor(...)`
of a result and everything under `torch.no_grad()` have no history: weights behind such a cut get no gradient, or (in a
network that is unrolled over time) only that of the last step. Some scripts stop with "does not require grad"; others
set `requires_grad` on the loss and run to the end without learning anything.

## How it is seen
The recorded step is followed back from the loss. If no way leads to any trainable weight, that is the fault. If only
some ways are cut, it may be meant. It is where the weights behind the cut are in no optimizer (a target network, a
teacher), get their gradient from another loss (a generator), or where what is cut off only enters the loss (a target
that must not move). Elsewhere the step is replayed without the cut. A leaf that every step makes out of plain numbers,
while the optimizer holds tensors that no loss reaches, is such a cut too.

## What to do
Compute the loss from the network's own output, as a tensor; use `.detach()` and `.item()` only for what is printed.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.keep_graph import KeepGraph
from unstuck.signals.coverage import Coverage
from unstuck.signals.reachability import taught_by
from unstuck.signals.source import Source
from unstuck.signals.task import main_program
from unstuck.tape.abstract import Knowns
from unstuck.tape.model import Tape
from unstuck.tape.program import Call, Program, Value

STAGE = Stage.WIRING
NEEDS_ROOM = True
NEVER_MEANT = True
FAULT = "graph-detached"
FEW = 3
"""Cuts that are tried: each costs a replay, and the lines of one loop are one cut."""
MOSTLY = 0.8
"""Share of the steps before which a network runs by itself: below, it may be an evaluation now and then."""
PASSES = 20
"""Steps below which a share of MOSTLY is chance: an evaluation per epoch over a few epochs comes near it."""


def check(tape: Tape, coverage: Coverage | None, source: Source | None) -> Iterator[Finding]:
    """Follow the loss back to the weights; look at what cuts the way."""
    if not tape.passes:
        raise NotApplicable("no training step was recorded")
    if coverage is not None and coverage.remade:
        yield _made_anew(tape, coverage, source)
        return
    trainable = {p.name for p in tape.parameters if p.trainable}
    taught = {name for n in {p.program for p in tape.passes} for name in taught_by(tape.programs[n])}
    if taught & trainable:
        yield from _partly(tape, trainable, taught)
        yield from _out_of_sight(tape, trainable, taught)
    else:
        yield from _severed(tape, trainable)


def _made_anew(tape: Tape, coverage: Coverage, source: Source | None) -> Finding:
    """The loss depends on a copy that every step makes out of numbers, not on what the optimizer holds."""
    names, held = coverage.remade, sum(o.foreign for o in tape.optimizers)
    said = (
        f"the loss depends on {', '.join(names[:FEW])}, made anew in every step out of plain numbers: "
        f"no gradient reaches what the optimizer holds ({held} tensor{'s' * (held > 1)})"
    )
    evidence = Evidence("tensors in the optimizer that the loss reaches", 0, f"{held}")
    told = proven(f"in {len(tape.passes)} steps no gradient reached what the optimizer holds")
    return Finding(FAULT, said, _bound(tape, source, names[0]), (evidence,), known="observed", effect=told)


def _bound(tape: Tape, source: Source | None, name: str) -> Site | None:
    """The last line that binds a name in the text; else the first call that reads it."""
    bound = [b.statement for b in source.bindings if b.name == name] if source is not None else []
    if source is not None and bound:
        return source.site(bound[-1])
    calls = (c for p in tape.programs for c in p.calls if name in c.weights())
    return next((c.site for c in calls if c.site), None)


def _severed(tape: Tape, trainable: set[str]) -> Iterator[Finding]:
    """No weight is reached at all."""
    program = _forward(tape)
    if program is None or not trainable & set(program.weights()):
        return
    cut, raised = _cut(program), tape.passes[-1].error
    site = cut.site if cut and cut.site else _stopped_at(tape)
    said = "the loss does not depend on any trainable weight: the graph is detached" + (
        f" by {_named(cut)}" if cut else ""
    )
    stop = f"; backward() stops with: {raised[:90]}" if raised else ""
    told = f"no gradient flows from the loss to any trainable weight{stop}"
    evidence = Evidence("trainable weights that the loss reaches", 0, "all that are trained")
    remedies = (KeepGraph(site),) if site else ()
    yield Finding(FAULT, said, site, (evidence,), remedies, known="observed", effect=proven(told))


def _forward(tape: Tape) -> Program | None:
    """The program that reads weights: the step's own, or the forward pass if the loss has lost all trace of them."""
    numbers = [p.program for p in tape.passes] + [e.program for e in tape.evaluations if e.after <= len(tape.passes)]
    return next((tape.programs[n] for n in numbers if tape.programs[n].calls), None)


def _cut(program: Program) -> Call | None:
    """The last cut; if there is none in sight, it came after the last recorded call."""
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


def _partly(tape: Tape, trainable: set[str], taught: set[str]) -> Iterator[Finding]:
    """Some ways are cut; whether that is meant, a replay without the cut shows, unless the step itself shows it."""
    program = tape.programs[main_program(tape)]
    behind = trainable & set(program.weights()) - taught_by(program)
    held = {p.name for p in tape.parameters if p.optimizer >= 0}
    every = Knowns(program).cuts()
    plain = [c for c in every if c.site and c.op.cuts != "flat" and not _meant(program, c, trainable, taught, held)]
    # Under no_grad, what keeps no weight from learning is bookkeeping (a power iteration, a running mean).
    cuts = {c.site: c for c in plain if c.site and (c.grad or behind)}
    for site, call in list(cuts.items())[:FEW]:
        count = sum(c.site == site for c in every)
        reach = f" to {len(behind)} weights" if behind else f", {count} times per step"
        said = f"{_named(call)} cuts the gradient{reach}"
        evidence = (
            Evidence("calls that cut", count, "none"),
            Evidence("trainable weights without a gradient", len(behind), "none"),
        )
        yield Finding(FAULT, said, site, evidence, (KeepGraph(site),))


def _meant(program: Program, cut: Call, trainable: set[str], taught: set[str], held: set[str]) -> bool:
    """Whether a cut takes nothing from training that the script gives to it.

    Weights that no optimizer holds are not to be trained by it (a target network, a teacher). Those that another loss
    teaches get their gradient there (a generator, while the other player learns). Those that this loss teaches as well
    get it past the cut, if what is cut off only enters the loss (a target made by the network itself): where it goes on
    through layers, it is an early part of the network.
    """
    upstream = trainable & _upstream(program, cut)
    if upstream - taught:
        return not (upstream - taught) & held
    return not upstream & taught_by(program) or not any(c.weights() for c in program.after(cut))


def _upstream(program: Program, call: Call) -> set[str]:
    """The weights that a call's arguments depend on."""
    return {name for c in program.leading_to(Value(call.outs[0])) for name in c.weights()}


def _out_of_sight(tape: Tape, trainable: set[str], taught: set[str]) -> Iterator[Finding]:
    """An optimizer holds weights that run with gradients before every step, and no loss ever reaches them."""
    idle = {p.name for p in tape.parameters if p.name in trainable and p.optimizer >= 0} - taught
    alone = [e for e in tape.evaluations if e.grad and idle & set(tape.programs[e.program].weights())]
    before = {e.after for e in alone}
    if len(before) < PASSES or len(before) < MOSTLY * (1 + max(before)):
        return
    program = tape.programs[alone[0].program]
    last = next((c for c in reversed(program.calls) if c.site), None)
    held = sorted(idle & set(program.weights()))
    said = f"the result of {held[0]} and {len(held) - 1} other weights leaves the graph before the loss"
    told = f"an optimizer holds them and they run before {len(before)} steps, but none of them ever gets a gradient"
    evidence = Evidence("trainable weights without a gradient", len(held), "none")
    site = last.site if last else None
    yield Finding(FAULT, said, site, (evidence,), known="observed", effect=proven(told))


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
