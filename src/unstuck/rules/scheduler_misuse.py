"""The learning rate scheduler counts epochs but is stepped per batch, or the other way round.

## Why it hurts

A scheduler counts its own steps. `StepLR(step_size=5)`, meant to halve the learning rate every fifth epoch, halves it
every fifth batch when `scheduler.step()` stands in the batch loop: within the first epoch the rate is practically zero
and training stops. A one-cycle schedule planned over all batches but stepped once per epoch never leaves its warm-up.

## How it is seen

The source shows where the scheduler is stepped, and whether its horizon (step size, milestones, decay) fits the number
of epochs or of batches. The recorded learning rates confirm or deny it: a rate that is next to nothing for half of the
run, rises many times over, or never comes near the rate that the optimizer was built with. A replay at a constant rate
measures whether that holds the run back.

## What to do

Step a scheduler that counts epochs once per epoch, after the batch loop; step one that counts batches in the batch
loop, after `optimizer.step()`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import msgspec

from unstuck.diagnosis.model import Effect, Evidence, Finding, Known, proven
from unstuck.diagnosis.skill import leaves_room
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.steady_rate import SteadyRate
from unstuck.remedies.step_per_epoch import StepPerBatch, StepPerEpoch
from unstuck.signals.learning import Learning
from unstuck.signals.rates import Rates
from unstuck.signals.source import Loop
from unstuck.signals.steps import Steps
from unstuck.signals.training import tail
from unstuck.tape.model import Tape

FAULT = "scheduler-misuse"
STAGE = Stage.REGULARISATION
NOTHING = 0.01
"""A learning rate that decays to this share of its first value is spent: a hundred such steps make one."""
PLATEAU = 10
"""Default patience of ReduceLROnPlateau."""
EARLY = 0.5
"""Share of the run with a rate above a fiftieth of its peak: linear, cosine and step schedules end later than this."""
IDLE, FROZEN = 0.1, 1e-6
"""A rate spent within a tenth of the run that ends at a millionth of its peak: float32 weights no longer change."""
RISEN = 30.0
"""Times the first rate. OneCycleLR rises by 25 (its default div_factor) on purpose."""
NEVER = 0.1
"""A peak below this share of the optimizer's own rate: the schedule is still warming up when the run ends."""
OVERRUN = re.compile(r"Tried to step \d+ times. The specified number of total steps is (\d+)")
FEW = 10
"""Batches per epoch that are assumed if the run was not recorded."""


def check(steps: Steps, tape: Tape, rates: Rates | None, learning: Learning | None) -> Iterator[Finding]:
    """Report each misplaced scheduler step; else a learning rate that is spent, blown up or held down."""
    found = list(_overrun(steps, tape))
    yield from found
    if found:
        return
    if learning is not None and not leaves_room(learning.final):
        yield from _told_all_the_same(_misplaced(steps, tape, rates))
        return
    ended = tape.stopped.startswith("script ended")
    still = ended and rates is not None and not rates.moves
    found = [] if still else list(_misplaced(steps, tape, rates))
    yield from found
    if not found and rates is not None and rates.moves and learning is not None:
        yield from _gone(steps, rates, ended)


def _told_all_the_same(found: Iterator[Finding]) -> Iterator[Finding]:
    """Of a run that does well: what the text says and the recorded rates confirm, as a fact without an effect."""
    observed = (f for f in found if f.known == "observed")
    yield from (msgspec.structs.replace(f, effect=Effect(), severity="hint") for f in observed)


def _overrun(steps: Steps, tape: Tape) -> Iterator[Finding]:
    """A one-cycle schedule that was stepped more often than planned: torch raises an error."""
    refused = OVERRUN.search(str((tape.error or {}).get("message", "")))
    if refused is None:
        return
    call = _first(steps)
    site, loop = (steps.source.site(call), _batch_loop(steps, call)) if call is not None else (None, None)
    planned = float(refused[1])
    remedies = ()
    if call is not None and site is not None and loop is not None and _epochs(steps, call) == planned:
        remedies = (StepPerEpoch(site, steps.source.site(loop)),)
    evidence = Evidence("planned scheduler steps", planned, "epochs x batches per epoch")
    effect = proven(f"torch stopped the run: {refused[0]}")
    said = f"the scheduler is planned for {planned:g} steps but stepped for every batch"
    yield Finding(FAULT, said, site, (evidence,), remedies, "error", known="observed", effect=effect)


def _first(steps: Steps) -> ast.Call | None:
    """The first call that steps a scheduler."""
    return next((call for call, _ in _stepped(steps)), None)


def _held_down(steps: Steps, rates: Rates) -> Iterator[Finding]:
    """A warm-up that is longer than the run."""
    call = _first(steps)
    said = f"the learning rate never exceeds {rates.peak:g}, although the optimizer was built with {rates.built:g}"
    evidence = Evidence("highest learning rate / optimizer's own", rates.peak / rates.built, "1")
    site = steps.source.site(call) if call is not None else None
    yield Finding(FAULT, said, site, (evidence,), (SteadyRate(rates.built / rates.first),))


def _gone(steps: Steps, rates: Rates, ended: bool) -> Iterator[Finding]:
    """A rate that is spent or blown up long before the end, or held down to the end."""
    if ended and 0 < rates.peak < NEVER * rates.built:
        yield from _held_down(steps, rates)
        return
    if rates.spent > EARLY and rates.peak < RISEN * rates.first:
        return
    call = _first(steps)
    said = f"the scheduler raises the learning rate from {rates.first:g} to {rates.peak:g}"
    if rates.spent <= EARLY:
        said = f"the learning rate falls from {rates.first:g} to almost 0 after {rates.spent:.0%} of the run"
    evidence = (
        *_course(rates),
        Evidence("highest / first rate", rates.peak / max(rates.first, 1e-30), f"below {RISEN:g}"),
    )
    site = steps.source.site(call) if call is not None else None
    loop = _batch_loop(steps, call) if call is not None else None
    if site is None or loop is None or not _frozen(rates):
        yield Finding(FAULT, said, site, evidence, (SteadyRate(),))
        return
    known, effect = _graded(rates)
    remedies = (StepPerEpoch(site, steps.source.site(loop)),)
    yield Finding(FAULT, said, site, evidence, remedies, "error", known=known, effect=effect)


def _frozen(rates: Rates) -> bool:
    return rates.spent <= IDLE and rates.values[-1] <= FROZEN * rates.peak


def _course(rates: Rates) -> tuple[Evidence, ...]:
    what = "share of the run with a learning rate above 1/50 of its peak"
    return (Evidence(what, round(rates.spent, 3), "1, or close to it"),)


def _graded(rates: Rates | None) -> tuple[Known, Effect]:
    """Proven if most steps are too small to change weights; observed if the rate is spent early; else read."""
    if rates is None or not rates.moves or rates.spent > EARLY:
        return "read", Effect()
    if not _frozen(rates):
        return "observed", Effect()
    told = f"in {1 - rates.spent:.0%} of the steps the learning rate is below 1/50 of its peak"
    return "observed", proven(f"{told}, at last {rates.values[-1]:.1g}")


def _misplaced(steps: Steps, tape: Tape, rates: Rates | None) -> Iterator[Finding]:
    for call, made in _stepped(steps):
        name = tail(steps.source.full_name(made))
        loop = _batch_loop(steps, call)
        if loop is not None and not steps.training.guarded(call, loop):
            if _counts_epochs(steps, made, name, _epochs(steps, call), tape):
                yield _per_batch(steps, call, made, loop, rates)
        elif loop is None and name == "OneCycleLR" and _counts_batches(steps, made) and _in_loop(steps, call):
            yield _per_epoch(steps, call, made)


def _stepped(steps: Steps) -> Iterator[tuple[ast.Call, ast.Call]]:
    """The calls that step a scheduler, with its construction."""
    for call in steps.training.methods("step"):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else call
        made = [m for m in steps.training.origins(owner) if isinstance(m, ast.Call)]
        if len(made) == 1 and steps.source.full_name(made[0]).startswith("torch.optim.lr_scheduler"):
            yield call, made[0]


def _batch_loop(steps: Steps, call: ast.Call) -> Loop | None:
    """The batch loop around a call, if an epoch loop surrounds it."""
    chains = (c for c in steps.training.chains(call) if len(c) > 1 and c[0] in steps.training.batch_loops)
    return next((chain[0] for chain in chains), None)


def _in_loop(steps: Steps, call: ast.Call) -> bool:
    chains = steps.training.chains(call)
    nested = any(len(chain) > 1 for chain in steps.training.training_chains)
    return nested and any(loop in steps.training.training_loops for chain in chains for loop in chain)


def _epochs(steps: Steps, call: ast.Call) -> float | None:
    """The number of epochs, if the loop around the batch loop says it."""
    for chain in steps.training.chains(call):
        over = chain[1].iter if len(chain) > 1 and isinstance(chain[1], ast.For) else None
        if isinstance(over, ast.Call) and over.args and ast.unparse(over.func) in ("range", "trange", "tqdm.trange"):
            given = [_number(steps, a) for a in over.args[:2]]
            known = [n for n in given if n is not None]
            return known[-1] - (known[0] if len(known) > 1 else 0) if len(known) == len(given) else None
    return None


def _number(steps: Steps, node: ast.expr | None) -> float | None:
    """A number, through names and arguments of calls, if all agree."""
    if node is None:
        return None
    numbers = {steps.source.number(m) for m in steps.training.origins(node)}
    return numbers.pop() if len(numbers) == 1 else None


def _given(made: ast.Call, position: int, name: str) -> ast.expr | None:
    by_name = next((k.value for k in made.keywords if k.arg == name), None)
    return by_name or (made.args[position] if len(made.args) > position else None)


def _counts_epochs(steps: Steps, made: ast.Call, name: str, epochs: float | None, tape: Tape) -> bool:
    """Whether the scheduler's horizon is at most the number of epochs."""
    if name == "ExponentialLR":
        gamma = _number(steps, _given(made, 1, "gamma"))
        return gamma is not None and 0 < gamma ** max(tape.steps, FEW * (epochs or 0)) < NOTHING
    horizon = _horizon(steps, made, name)
    return epochs is not None and horizon is not None and horizon <= epochs


def _horizon(steps: Steps, made: ast.Call, name: str) -> float | None:
    if name == "StepLR":
        return _number(steps, _given(made, 1, "step_size"))
    if name == "CosineAnnealingLR":
        return _number(steps, _given(made, 1, "T_max"))
    if name == "ReduceLROnPlateau":
        patience = _given(made, 3, "patience")
        return PLATEAU if patience is None else _number(steps, patience)
    if name == "MultiStepLR":
        given = _given(made, 1, "milestones")
        listed = steps.source.value(given) if given is not None else None
        numbers = [_number(steps, n) for n in listed.elts] if isinstance(listed, ast.List | ast.Tuple) else []
        return max((n for n in numbers if n is not None), default=None)
    return None


def _counts_batches(steps: Steps, made: ast.Call) -> bool:
    """Whether a scheduler is planned over batches: its horizon is a product with the length of a loader."""
    per_epoch, total = _given(made, 4, "steps_per_epoch"), _given(made, 2, "total_steps")
    if per_epoch is not None:
        number = _number(steps, per_epoch)
        return number is None or number > 1
    return total is not None and "len(" in ast.unparse(steps.source.value(total))


def _per_batch(steps: Steps, call: ast.Call, made: ast.Call, loop: Loop, rates: Rates | None) -> Finding:
    said = f"{tail(steps.source.full_name(made))} counts epochs but is stepped for every batch; step it once per epoch"
    remedies = (StepPerEpoch(steps.source.site(call), steps.source.site(loop)),)
    evidence = (Evidence("scheduler", steps.source.code(made), "stepped once per epoch"),)
    evidence += _course(rates) if rates is not None else ()
    known, effect = _graded(rates)
    return Finding(FAULT, said, steps.source.site(call), evidence, remedies, "error", known=known, effect=effect)


def _per_epoch(steps: Steps, call: ast.Call, made: ast.Call) -> Finding:
    said = f"{tail(steps.source.full_name(made))} is planned over batches but stepped once per epoch; step it per batch"
    after = [steps.source.site(s) for s in steps.steps()]
    remedies = (StepPerBatch(steps.source.site(call), after[0]),) if len(after) == 1 else ()
    evidence = Evidence("scheduler", steps.source.code(made), "stepped once per batch")
    return Finding(FAULT, said, steps.source.site(call), (evidence,), remedies, "error", known="read")


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(600, 5)
y = (x[:, :1] * x[:, 1:2] > 0).float()
model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.5)
loss_fn = nn.BCEWithLogitsLoss()

for epoch in range(20):
    for batch in torch.randperm(600).split(30):
        optimizer.zero_grad()
        loss = loss_fn(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
{indent}    scheduler.step()
    print(epoch, loss.item())
"""

FIRES = _SCRIPT.format(indent="    ")
QUIET = _SCRIPT.format(indent="")
