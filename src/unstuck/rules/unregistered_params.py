"""Layers are not registered in the module: kept in a plain list or dict, or created inside `forward`.

## Why it hurts

`model.parameters()` returns what was assigned to the module as an attribute: layers, `nn.Parameter`, `nn.ModuleList`,
`nn.ModuleDict`. Layers in a plain list, plain tensors, and layers created inside `forward` take part in the forward
pass, but are not in `parameters()`: the optimizer never updates them, `state_dict()` does not save them and `.to()`
does not move them. The registered layers train on top of random ones.

## How it is seen

Some weights that the recorded loss depends on are in no optimizer and in no module of the script, while other weights
of the same network are. Layers created inside `forward` appear as new weights in every step.

## What to do

Use `nn.ModuleList([...])`, `nn.ModuleDict({...})` or `nn.Parameter(...)`, and create layers in `__init__`.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding, NotApplicable, Site, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.register_modules import RegisterModules
from unstuck.rules.optimizer_params import STOPPED, refused
from unstuck.signals.coverage import Coverage, size
from unstuck.signals.misnamed import Misnamed
from unstuck.tape.model import Parameter, Tape
from unstuck.tape.program import Weight

FAULT = "unregistered-params"
STAGE = Stage.WIRING
NEW_EACH_TIME = 3
"""Weights used in one step only, from this number on: two may be the layers of a model that was built twice."""


def check(tape: Tape, misnamed: Misnamed | None) -> Iterator[Finding]:
    """Report weights that are in no module of the script, and an optimizer that was given no parameters."""
    if refused(tape):
        if misnamed is None:
            yield _nothing(tape)
        return
    holding = Coverage.read(tape)
    if not holding.loose:
        raise NotApplicable("every weight that the loss depends on is in an optimizer")
    fresh = _fresh(holding)
    if fresh:
        yield _made_anew(tape, fresh)
    elif holding.unknown:
        yield _loose(tape, holding)


def _nothing(tape: Tape) -> Finding:
    assert tape.error is not None
    said = "the optimizer got no parameters: none of the model's layers is registered"
    site = next((Site(s["file"], s["line"]) for s in tape.error.get("sites", ())), None)
    return Finding(FAULT, said, site, (), (RegisterModules(),), "error", known="observed", effect=proven(STOPPED))


def _fresh(holding: Coverage) -> list[Parameter]:
    """Weights that are used in one step only, if every step has its own."""
    passes = holding.tape.passes
    counts: dict[str, int] = {}
    for p in passes:
        for name in holding.tape.programs[p.program].weights():
            counts[name] = counts.get(name, 0) + 1
    once = [p for p in holding.loose if counts.get(p.name) == 1]
    return once if len(once) >= max(NEW_EACH_TIME, len(passes)) else []


def _made_anew(tape: Tape, fresh: list[Parameter]) -> Finding:
    said = "a layer is created with new random weights in every step, so it never learns; create it in __init__"
    evidence = Evidence("weights used in one step only", len(fresh), "0")
    discarded = proven(f"in {len(tape.passes)} steps, {len(fresh)} weights were used once each and discarded")
    site = fresh[0].made or _reads(tape, fresh[0].name)
    return Finding(FAULT, said, site, (evidence,), (), "error", known="observed", effect=discarded)


def _loose(tape: Tape, holding: Coverage) -> Finding:
    names = tuple(p.name for p in holding.unknown)
    numbers = sum(map(size, holding.unknown))
    total = numbers + sum(map(size, holding.held))
    said = f"{numbers:,} of {total:,} parameters are not registered in the model and never trained; use nn.ModuleList"
    evidence = Evidence("share of parameters in no optimizer", holding.share, "0")
    remedy = RegisterModules(names, holding.optimizer)
    site = holding.unknown[0].made or _reads(tape, names[0])
    return Finding(FAULT, said, site, (evidence,), (remedy,), known="observed")


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
