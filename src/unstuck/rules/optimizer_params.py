"""The optimizer does not hold all weights: some that the loss depends on are never updated.

## Why it hurts
An optimizer updates the tensors it was given when it was built, and no others. If it was given those of another model
(or of this model before it was rebuilt), of one part only, or a generator that was already used up, the loss is
computed by weights that never change.

## How it is seen
The recorded step says which weights the loss reaches by gradient, and the optimizers say what they hold. If they hold
none of these weights, that is the fault. If they hold a part, it may be meant (fine-tuning: a fixed pretrained part
below a trained head). It is not if the other weights start out as random numbers, or several small layers hold what
their initialisation filled in: nothing has ever trained them; nor if they are frozen at first and unfrozen during the
run: the optimizer was built from the trainable ones only.

## What to do
Build the optimizer after the model is complete, from `model.parameters()` of the model that computes the loss; with
several models, from the parameters of all. To keep weights fixed on purpose, set `requires_grad_(False)`. If torch
refuses an empty list, look whether the layers are created at all.
"""

from __future__ import annotations

from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.hold_parameters import HoldParameters
from unstuck.remedies.rename_constructor import RenameConstructor
from unstuck.rules._places import optimizer_site
from unstuck.signals.coverage import Coverage, size
from unstuck.signals.misnamed import Misnamed
from unstuck.tape.model import Tape

STAGE = Stage.WIRING
NEVER_MEANT = True
FAULT = "optimizer-params"
EMPTY = "optimizer got an empty parameter list"
"""torch's error where a model has no registered parameter."""
STOPPED = f"the script stopped with: {EMPTY}"


def check(coverage: Coverage | None, tape: Tape, misnamed: Misnamed | None) -> Iterator[Finding]:
    """Compare what the loss reaches with what the optimizers hold."""
    if misnamed is not None and refused(tape):
        yield _never_made(misnamed)
    if coverage is not None:
        yield from _compared(coverage, tape)


def _never_made(misnamed: Misnamed) -> Finding:
    """The optimizer got nothing, because the constructor did not run."""
    said = (
        f"the optimizer gets no parameters: Python never calls {misnamed.owner}.{misnamed.name}, "
        "so the layers are never created; its name must be __init__"
    )
    remedies = (RenameConstructor(misnamed.site, misnamed.name),)
    return Finding(FAULT, said, misnamed.site, (), remedies, "error", known="observed", effect=proven(STOPPED))


def refused(tape: Tape) -> bool:
    """Whether torch refused to build an optimizer without parameters."""
    return tape.error is not None and EMPTY in str(tape.error.get("message", ""))


def _compared(coverage: Coverage, tape: Tape) -> Iterator[Finding]:
    loose = [p for p in coverage.loose if p not in coverage.unknown]
    if not loose or coverage.remade:
        return
    foreign = sum(o.foreign for o in tape.optimizers)
    fresh = [p for p in coverage.untrained if p in loose]
    drawn = Evidence(
        "matrices among them that nothing has trained", len(fresh), "0, unless the layer is meant to stay so"
    )
    evidence = (
        Evidence("share of the trainable elements that no optimizer holds", coverage.share, "0"),
        *((drawn,) if coverage.held else ()),
        Evidence("tensors held that no loss ever reached", foreign, "0"),
    )
    site, names = optimizer_site(tape, coverage.optimizer), tuple(p.name for p in loose)
    yield Finding(
        FAULT,
        _said(coverage, names, foreign),
        site,
        evidence,
        (HoldParameters(names, coverage.optimizer, site),),
        known="observed" if fresh or not coverage.held or any(p.unfrozen for p in loose) else "guessed",
        effect=_effect(coverage, foreign),
    )


def _said(coverage: Coverage, names: tuple[str, ...], foreign: int) -> str:
    few = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
    whose = f"; it holds {foreign} tensors that no loss reaches" if foreign else ""
    if not coverage.held:
        return f"the optimizer holds none of the {len(names)} weights that the loss depends on ({few}){whose}"
    loose, held = sum(map(size, coverage.loose)), sum(map(size, coverage.held))
    late = ", although they are unfrozen during the run" if any(p.unfrozen for p in coverage.loose) else ""
    return f"{loose} of {loose + held} weight elements are in no optimizer and never updated{late} ({few}){whose}"


def _effect(coverage: Coverage, foreign: int) -> Effect:
    if coverage.held or not foreign:
        return Effect()
    return proven(f"every step updates {foreign} tensors that the loss does not depend on, and none that it does")


FIRES = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 8)
y = (x[:, 0] * x[:, 1] > 0).long()
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
for epoch in range(20):
    for rows in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
print(loss.item())
"""
QUIET = FIRES.replace("lr=0.01)\nmodel = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))", "lr=0.01)")
