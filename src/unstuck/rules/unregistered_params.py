"""Layers that the model does not know of: kept in a plain list or dict, or made anew at every call.

## Why it hurts
`model.parameters()` finds what is assigned to the module as an attribute: layers, parameters, `ModuleList`,
`ModuleDict`. Layers in a plain list, tensors that are no `nn.Parameter`, and layers built inside `forward` are used all
the same, but no optimizer ever sees them: they stay as they were drawn, `state_dict()` does not save them and `.to()`
does not move them. What is registered trains on top of noise.

## How it is seen
The recorded step says which weights the loss reaches; some of them are held by no optimizer and by no variable of the
script, though others of the same network are. Layers built inside `forward` show as weights that are new in every step.

## What to do
`nn.ModuleList([...])`, `nn.ModuleDict({...})`, `nn.Parameter(...)`; build layers in `__init__`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Site
from unstuck.remedies.register_modules import RegisterModules
from unstuck.signals.coverage import Coverage, size
from unstuck.tape.model import Parameter, Tape
from unstuck.tape.program import Weight

NEW_EACH_TIME = 3
"""Programs that differ in nothing but the names of their loose weights, from which on they are new at every call."""
EMPTY = "optimizer got an empty parameter list"
"""What torch says where a model knows of none of its layers."""


def check(tape: Tape) -> Iterator[Finding]:
    """Look for loose weights that no variable leads to, and for an optimizer that was given nothing."""
    if tape.error and EMPTY in str(tape.error.get("message", "")):
        yield _nothing(tape)
        return
    holding = Coverage.read(tape)
    if not holding.loose:
        raise NotApplicable("an optimizer holds every weight that the loss reaches")
    fresh = _fresh(holding)
    if fresh:
        yield _made_anew(tape, fresh)
    elif holding.unknown:
        yield _loose(tape, holding)


def _nothing(tape: Tape) -> Finding:
    assert tape.error is not None
    said = "the optimizer got no parameters: the model knows of none of its layers"
    sites = [Site(s["file"], s["line"]) for s in tape.error.get("sites", ())]
    return Finding("unregistered-params", said, sites[0] if sites else None, (), (RegisterModules(),), "error")


def _fresh(holding: Coverage) -> list[Parameter]:
    """Loose weights that are read in one pass only, where every pass has its own."""
    passes = holding.tape.passes
    counts: dict[str, int] = {}
    for p in passes:
        for name in holding.tape.programs[p.program].weights():
            counts[name] = counts.get(name, 0) + 1
    once = [p for p in holding.loose if counts.get(p.name) == 1]
    return once if len(once) >= max(NEW_EACH_TIME, len(passes)) else []


def _made_anew(tape: Tape, fresh: list[Parameter]) -> Finding:
    said = (
        f"a layer is built anew in every step: {len(fresh)} of its weights were used once each, and none of them learns"
    )
    evidence = Evidence("weights used in one step only", len(fresh), "none")
    told = f"in {len(tape.passes)} steps, {len(fresh)} weights took part once and were thrown away"
    return Finding(
        "unregistered-params", said, _reads(tape, fresh[0].name), (evidence,), (), "error", demonstrated=told
    )


def _loose(tape: Tape, holding: Coverage) -> Finding:
    names = tuple(p.name for p in holding.unknown)
    numbers = sum(map(size, holding.unknown))
    total = numbers + sum(map(size, holding.held))
    said = f"{len(names)} weights with {numbers} of {total} numbers take part but are not among the model's parameters"
    evidence = Evidence("share of the network's numbers that no optimizer holds", holding.share, "0")
    remedy = RegisterModules(names, holding.optimizer)
    return Finding("unregistered-params", said, _reads(tape, names[0]), (evidence,), (remedy,))


def _reads(tape: Tape, name: str) -> Site | None:
    calls = (c for p in tape.programs for c in p.calls if Weight(name) in c.refs())
    return next((c.site for c in calls if c.site is not None), None)


FIRES = """
import torch
from torch import nn

torch.manual_seed(1)


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = [nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)]
        self.head = nn.Linear(8, 2)

    def forward(self, x):
        for block in self.blocks:
            x = torch.relu(block(x))
        return self.head(x)


x = torch.randn(800, 6)
y = (x[:, 0] * x[:, 1] > 0).long()
model = Tower()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(20):
    for rows in torch.randperm(800).split(40):
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace(
    "[nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)]",
    "nn.ModuleList([nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8)])",
)
