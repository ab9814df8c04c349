"""The optimizer, or the network itself, is built anew in every epoch or for every batch.

## Why it hurts

A network that is built inside the epoch loop starts from random weights in every epoch: all that is left at the end is
the last of them. An optimizer that is built there forgets its momentum and its averages; Adam's first steps after each
new start have their full size whatever the gradient, and never settle.

## How it is seen

The text is read, through the functions that are called: the construction is reached in every round of the loop over
epochs (or batches) that trains, under no condition. A loop over folds, seeds or settings builds a new network on
purpose and holds a whole training of its own, so it is passed over; plain gradient descent has nothing to forget.
Where the text shows nothing, the run may: at least TURNS optimizers with a memory step one after the other on the same
weights. A replay that keeps the first of them to the end tells whether that does harm.

## What to do

Build the network and its optimizer once, in front of the loop.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.hoist_optimizer import HandOptimizer, HoistOptimizer
from unstuck.remedies.keep_optimizer import KeepOptimizer
from unstuck.signals.source import Binding, Loop
from unstuck.signals.training import Training, tail
from unstuck.tape.model import Tape

FAULT = "optimizer-reset"


TURNS = 4
"""Fewer optimizers may be the phases of one training: warm up, train, fine-tune."""
MEMORY = ("momentum", "betas", "alpha", "rho", "lr_decay", "lambd")
"""Options of optimizers that gather something from step to step (where they are not zero)."""


def check(tape: Tape, training: Training) -> Iterator[Finding]:
    """What the text shows, or else what the run does."""
    yield from list(_told(training)) or _seen(tape)


def _seen(tape: Tape) -> Iterator[Finding]:
    for optimizer in tape.optimizers:
        remembers = any(group.get(option) for group in optimizer.groups for option in MEMORY)
        if optimizer.created >= TURNS and remembers:
            evidence = Evidence(f"{optimizer.name}s that stepped in turn on the same weights", optimizer.created, "1")
            said = f"{optimizer.created} optimizers took turns at the same weights: each forgot what the last gathered"
            yield Finding(FAULT, said, None, (evidence,), (KeepOptimizer(),))


def _told(training: Training) -> Iterator[Finding]:
    """Each construction of an optimizer that is repeated where training should go on."""
    for made in training.optimizers:
        model = _model(made)
        loops = dict.fromkeys(chain[0] for chain in training.chains(made) if chain)
        for loop in loops if model is not None else ():
            if model is not None and _continues(training, loop) and not training.guarded(made, loop):
                yield from _judged(training, made, model, _outermost(training, made, model, loop))


def _outermost(training: Training, made: ast.Call, model: ast.expr, loop: Loop) -> Loop:
    """The largest loop around a construction that still trains the same network: of batch and epoch loop the latter."""
    around = [o for o in training.source.loops(made) if _continues(training, o) and o is not loop]
    kept = [o for o in around if training.is_epoch_loop(o) and not training.rebuilt_in(model, o)]
    return kept[-1] if kept and not training.rebuilt_in(model, loop) else loop


def _model(made: ast.Call) -> ast.expr | None:
    """The network whose parameters an optimizer is given."""
    given = (c for c in ast.walk(made) if isinstance(c, ast.Call) and isinstance(c.func, ast.Attribute))
    return next(
        (c.func.value for c in given if isinstance(c.func, ast.Attribute) and c.func.attr == "parameters"), None
    )


def _continues(training: Training, loop: Loop) -> bool:
    """Whether a loop repeats one step or one epoch of a training, rather than a whole training."""
    places = {chain.index(loop) for chain in training.training_chains if loop in chain}
    return bool(places) and max(places) <= 1


def _judged(training: Training, made: ast.Call, model: ast.expr, loop: Loop) -> Iterator[Finding]:
    rebuilt = training.rebuilt_in(model, loop)
    named = training.is_epoch_loop(loop)
    if rebuilt:
        fresh = all(_is_fresh(training, b) for b in rebuilt)
        if (
            fresh
            and not training.guarded(rebuilt[0].statement, loop)
            and (named or _only_counts(training, loop, model))
        ):
            yield _finding(training, made, loop, rebuilt[0], certain=named)
    elif _has_memory(training, made) and (named or loop in training.batch_loops):
        yield _finding(training, made, loop, None, certain=False)


def _is_fresh(training: Training, b: Binding) -> bool:
    """Whether a model is built from its class: neither copied nor read from a file."""
    return b.kind == "assign" and b.value is not None and _builds(training, b.value)


def _builds(training: Training, value: ast.expr, depth: int = 3) -> bool:
    while (
        isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and isinstance(value.func.value, ast.Call)
    ):
        value = value.func.value
    if not isinstance(value, ast.Call) or "load" in ast.unparse(value) or depth == 0:
        return False
    classes = {c.name for c in training.source.all(ast.ClassDef)}
    made = [o for r in training.results(value) for o in training.origins(r)]
    if made:
        return all(_builds(training, m, depth - 1) for m in made)
    return tail(ast.unparse(value.func)) in classes or training.source.full_name(value).startswith("torch.nn")


def _only_counts(training: Training, loop: Loop, model: ast.expr) -> bool:
    """Whether a loop's counter is only printed, nothing is collected, and the model is used after the loop."""
    if not isinstance(loop, ast.For) or not isinstance(loop.target, ast.Name):
        return False
    source, scope = training.source, training.source.scope(loop)
    uses = [n for n in source.all(ast.Name, loop.body) if n.id == loop.target.id]
    shown = all(any(_prints(outer) for outer in source.above(n)) or _is_test(training, n) for n in uses)
    collects = any(
        c.func.attr in ("append", "extend")
        for c in source.all(ast.Call, loop.body)
        if isinstance(c.func, ast.Attribute)
    )
    names = {tail(n) for n in training.names_for(model)}
    after = (n for n in source.all(ast.Name, scope) if n.id in names and n.lineno > (loop.end_lineno or 0))
    return shown and not collects and any(True for _ in after)


def _prints(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and tail(ast.unparse(node.func)) in ("print", "write", "info", "log", "debug")


def _is_test(training: Training, node: ast.AST) -> bool:
    inner = node
    for outer in training.source.above(node):
        if isinstance(outer, ast.If):
            return inner is outer.test
        inner = outer
    return False


def _has_memory(training: Training, made: ast.Call) -> bool:
    name = tail(training.source.full_name(made))
    momentum = next(
        (k.value for k in made.keywords if k.arg == "momentum"), made.args[2] if len(made.args) > 2 else None
    )
    return name != "SGD" or (momentum is not None and training.source.number(momentum) != 0)


def _finding(training: Training, made: ast.Call, loop: Loop, model: Binding | None, certain: bool) -> Finding:
    source = training.source
    place = model.statement if model is not None else made
    site, where = source.site(place), "epoch" if training.is_epoch_loop(loop) else "round"
    what = "the network and its optimizer are" if model is not None else "the optimizer is"
    said = f"{what} built anew in every {where} of the loop in line {loop.lineno}"
    told = (
        f"line {site.line} builds a new {model.name}: what the rounds before have learned is thrown away"
        if model and certain
        else ""
    )
    moved = [source.site(source.statement(n)) for n in ([model.statement, made] if model else [made])]
    inside = any(loop in source.loops(n) for n in (made,))
    calls = [c for c in source.all(ast.Call, loop) if source.scope(made) in source.called(c)] if not inside else []
    evidence = Evidence(
        "in the text", source.code(source.statement(place)).splitlines()[0].strip(), "in front of the loop"
    )
    hoisted = HoistOptimizer(tuple(moved), source.site(loop))
    handed = [HandOptimizer(moved[-1], source.site(c), source.site(loop)) for c in calls]
    remedies = (hoisted,) if inside else tuple(handed) if len(handed) == 1 and model is None else ()
    return Finding(FAULT, said, site, (evidence,), remedies, "error", demonstrated=told)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(400, 6)
y = x[:, :1] * x[:, 1:2]
{before}
for epoch in range(12):
{inside}    for batch in torch.randperm(400).split(40):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x[batch]), y[batch])
        loss.backward()
        optimizer.step()
    print(epoch, loss.item())
"""
_BUILT = """model = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
"""

FIRES = _SCRIPT.format(before="", inside="".join(f"    {line}\n" for line in _BUILT.splitlines()))
QUIET = _SCRIPT.format(before=_BUILT, inside="")
