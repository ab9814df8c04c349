"""The learning rate's schedule counts epochs and is stepped per batch, or the other way round.

## Why it hurts

A schedule only counts how often it is stepped. `StepLR(step_size=5)` that is meant to halve the rate every fifth epoch
halves it every fifth batch when `scheduler.step()` stands in the batch loop: within the first epoch the rate is
practically zero and the network is frozen. A one-cycle schedule planned over all batches and stepped once per epoch
never leaves its warm-up.

## How it is seen

The text is read: where the schedule is stepped, and whether its horizon (step size, milestones, decay) fits the number
of epochs or the number of batches. A schedule that is stepped per batch and planned over batches is as it should be.
And the recorded rates are read: where they are next to nothing for half of a run that learns poorly, or rise many times
over, a replay at the first rate tells whether that is what holds it back; where they never come near the rate that the
optimizer was built with, a replay at that one.

## What to do

Step a schedule that counts epochs once per epoch, behind the batch loop; one that counts batches in the batch loop,
after `optimizer.step()`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.steady_rate import SteadyRate
from unstuck.remedies.step_per_epoch import StepPerBatch, StepPerEpoch
from unstuck.signals.learning import Learning
from unstuck.signals.rates import Rates
from unstuck.signals.source import Loop
from unstuck.signals.steps import Steps
from unstuck.signals.training import tail
from unstuck.tape.model import Tape

FAULT = "scheduler-misuse"
NOTHING = 0.01
"""A rate that decays to this share of its start is taken to be spent."""
PLATEAU = 10
"""The patience of ReduceLROnPlateau where none is given."""
EARLY = 0.5
"""A schedule that is meant leaves its last steps small, not its second half."""
IDLE, FROZEN = 0.1, 1e-6
"""A schedule stepped per batch that is spent within this share of the run, and ends at this share of its peak: no more
than the first tenth of the batches was trained on."""
RISEN = 30.0
"""Times the first rate. Warm-ups rise as far, to a rate that serves: a replay at the first rate then does no better."""
NEVER = 0.1
"""A schedule that never reaches this share of the optimizer's own rate is still warming up when the run ends."""
OVERRUN = re.compile(r"Tried to step \d+ times. The specified number of total steps is (\d+)")
LEARNT = 0.9
"""A run of this skill was served by its schedule."""
FEW = 10
"""So many batches per epoch are supposed where the run was not recorded."""


def check(steps: Steps, tape: Tape, rates: Rates | None, learning: Learning | None) -> Iterator[Finding]:
    """Each place where a schedule is stepped; where none is at fault, what became of the rate."""
    found = list(_overrun(steps, tape)) or list(_misplaced(steps, tape))
    yield from found
    if not found and rates is not None and rates.moves and learning is not None and learning.final < LEARNT:
        yield from _gone(steps, rates, tape.stopped.startswith("script ended"))


def _overrun(steps: Steps, tape: Tape) -> Iterator[Finding]:
    """A one-cycle schedule that was stepped more often than it has steps: torch stops the run."""
    said = OVERRUN.search(str((tape.error or {}).get("message", "")))
    if said is None:
        return
    call = next((call for call, _ in _stepped(steps)), None)
    site, loop = (steps.source.site(call), _batch_loop(steps, call)) if call is not None else (None, None)
    planned = float(said[1])
    remedies = ()
    if call is not None and site is not None and loop is not None and _epochs(steps, call) == planned:
        remedies = (StepPerEpoch(site, steps.source.site(loop)),)
    evidence = Evidence("steps that the schedule was planned for", planned, "all batches of all epochs")
    told = f"torch itself stopped the run here: {said[0]}"
    message = f"the schedule is planned for {planned:g} steps, and is stepped for every batch"
    yield Finding(FAULT, message, site, (evidence,), remedies, "error", demonstrated=told)


def _held_down(steps: Steps, rates: Rates) -> Iterator[Finding]:
    """A warm-up that takes longer than the run."""
    call = next((call for call, _ in _stepped(steps)), None)
    said = (
        f"the schedule keeps the learning rate at {rates.peak:g} or below; the optimizer was built with {rates.built:g}"
    )
    evidence = Evidence("highest rate / the rate the optimizer was built with", rates.peak / rates.built, "1")
    site = steps.source.site(call) if call is not None else None
    yield Finding(FAULT, said, site, (evidence,), (SteadyRate(rates.built / rates.first),))


def _gone(steps: Steps, rates: Rates, ended: bool) -> Iterator[Finding]:
    """A rate that is spent, or blown up, long before the end; or one that a run which has ended never let rise."""
    if ended and 0 < rates.peak < NEVER * rates.built:
        yield from _held_down(steps, rates)
        return
    spent, risen = rates.spent <= EARLY, rates.peak >= RISEN * rates.first
    if not spent and not risen:
        return
    call = next((call for call, _ in _stepped(steps)), None)
    fallen = f"the learning rate falls from {rates.first:g} to nothing after {rates.spent:.0%} of the run"
    said = fallen if spent else f"the schedule drives the learning rate from {rates.first:g} up to {rates.peak:g}"
    evidence = (
        Evidence(
            "share of the run in which the rate is above a fiftieth of its peak", rates.spent, "1, or close to it"
        ),
        Evidence("highest rate / first rate", rates.peak / max(rates.first, 1e-30), f"below {RISEN:g}"),
    )
    site = steps.source.site(call) if call else None
    loop = _batch_loop(steps, call) if call is not None else None
    if call is None or site is None or loop is None or rates.spent > IDLE or rates.values[-1] > FROZEN * rates.peak:
        yield Finding(FAULT, said, site, evidence, (SteadyRate(),))
        return
    told = (
        f"{1 - rates.spent:.0%} of the steps have less than a fiftieth of the peak rate, at last {rates.values[-1]:.1g}"
    )
    remedies = (StepPerEpoch(site, steps.source.site(loop)),)
    yield Finding(FAULT, said, site, evidence, remedies, "error", demonstrated=told)


def _misplaced(steps: Steps, tape: Tape) -> Iterator[Finding]:
    for call, made in _stepped(steps):
        name = tail(steps.source.full_name(made))
        loop = _batch_loop(steps, call)
        if loop is not None and not steps.training.guarded(call, loop):
            if _counts_epochs(steps, made, name, _epochs(steps, call), tape):
                yield _per_batch(steps, call, made, loop)
        elif loop is None and name == "OneCycleLR" and _counts_batches(steps, made) and _in_loop(steps, call):
            yield _per_epoch(steps, call, made)


def _stepped(steps: Steps) -> Iterator[tuple[ast.Call, ast.Call]]:
    """The calls that step a schedule, with its construction."""
    for call in steps.training.methods("step"):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else call
        made = [m for m in steps.training.origins(owner) if isinstance(m, ast.Call)]
        if len(made) == 1 and steps.source.full_name(made[0]).startswith("torch.optim.lr_scheduler"):
            yield call, made[0]


def _batch_loop(steps: Steps, call: ast.Call) -> Loop | None:
    """The batch loop that a call stands in, where an epoch loop lies around it."""
    chains = (c for c in steps.training.chains(call) if len(c) > 1 and c[0] in steps.training.batch_loops)
    return next((chain[0] for chain in chains), None)


def _in_loop(steps: Steps, call: ast.Call) -> bool:
    chains = steps.training.chains(call)
    nested = any(len(chain) > 1 for chain in steps.training.training_chains)
    return nested and any(loop in steps.training.training_loops for chain in chains for loop in chain)


def _epochs(steps: Steps, call: ast.Call) -> float | None:
    """How many epochs the loop around the batch loop counts, where the text says so."""
    for chain in steps.training.chains(call):
        over = chain[1].iter if len(chain) > 1 and isinstance(chain[1], ast.For) else None
        if isinstance(over, ast.Call) and over.args and ast.unparse(over.func) in ("range", "trange", "tqdm.trange"):
            given = [_number(steps, a) for a in over.args[:2]]
            known = [n for n in given if n is not None]
            return known[-1] - (known[0] if len(known) > 1 else 0) if len(known) == len(given) else None
    return None


def _number(steps: Steps, node: ast.expr | None) -> float | None:
    """A number, through names and the arguments that a function is called with, where all of them agree."""
    if node is None:
        return None
    numbers = {steps.source.number(m) for m in steps.training.origins(node)}
    return numbers.pop() if len(numbers) == 1 else None


def _given(made: ast.Call, position: int, name: str) -> ast.expr | None:
    by_name = next((k.value for k in made.keywords if k.arg == name), None)
    return by_name or (made.args[position] if len(made.args) > position else None)


def _counts_epochs(steps: Steps, made: ast.Call, name: str, epochs: float | None, tape: Tape) -> bool:
    """Whether the schedule's horizon lies within the number of epochs."""
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
    """Whether a schedule was planned over the batches: its horizon is a product with the length of a loader."""
    per_epoch, total = _given(made, 4, "steps_per_epoch"), _given(made, 2, "total_steps")
    if per_epoch is not None:
        number = _number(steps, per_epoch)
        return number is None or number > 1
    return total is not None and "len(" in ast.unparse(steps.source.value(total))


def _per_batch(steps: Steps, call: ast.Call, made: ast.Call, loop: Loop) -> Finding:
    code = steps.source.code(made)
    said = f"{tail(steps.source.full_name(made))} counts epochs here and is stepped for every batch"
    remedies = (StepPerEpoch(steps.source.site(call), steps.source.site(loop)),)
    return _finding(steps, call, said, code, "once per epoch", remedies)


def _per_epoch(steps: Steps, call: ast.Call, made: ast.Call) -> Finding:
    code = steps.source.code(made)
    said = f"{tail(steps.source.full_name(made))} is planned over the batches and stepped once per epoch"
    after = [steps.source.site(s) for s in steps.steps()]
    remedies = (StepPerBatch(steps.source.site(call), after[0]),) if len(after) == 1 else ()
    return _finding(steps, call, said, code, "once per batch", remedies)


def _finding(steps: Steps, call: ast.Call, said: str, code: str, expected: str, remedies: tuple) -> Finding:
    evidence = Evidence("the schedule", code, f"stepped {expected}")
    return Finding(FAULT, said, steps.source.site(call), (evidence,), remedies, "error")


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
