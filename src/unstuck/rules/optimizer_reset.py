"""The optimizer, or the network itself, is rebuilt in every epoch or batch.

## Why it hurts

A network built inside the epoch loop starts from random weights in every epoch: only the last epoch counts. An
optimizer built there loses its momentum and running averages; after each restart Adam's steps have their full size
whatever the gradient, so it never settles.

## How it is seen

The recorder counts the optimizers that step in turn on the same weights, and the networks that are trained in turn. The
source shows where they are built: inside the loop over epochs (or batches) that trains, under no condition. Loops over
folds, seeds or settings build a new network on purpose and hold a whole training of their own; plain SGD has no state
to lose. A replay that keeps the first optimizer to the end measures the effect of its restarts.

## What to do

Build the network and its optimizer once, in front of the loop.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.hoist_optimizer import HandOptimizer, HoistOptimizer
from unstuck.remedies.keep_optimizer import KeepOptimizer
from unstuck.signals.source import Binding, Loop
from unstuck.signals.training import Training, tail
from unstuck.tape.model import Tape

FAULT = "optimizer-reset"
STAGE = Stage.WIRING
TURNS = 4
"""Optimizers in turn, at least: fewer may be the phases of one training (warm up, train, fine-tune)."""
MEMORY = ("momentum", "betas", "alpha", "rho", "lr_decay", "lambd")
"""Options of optimizers that keep state from step to step, if not zero."""


def check(tape: Tape, training: Training) -> Iterator[Finding]:
    """Report constructions inside the training loop; else optimizers that stepped in turn on the same weights."""
    made = sum(o.created for o in tape.optimizers)
    once = made == 1 and tape.stopped.startswith("script ended")
    yield from ([] if once else list(_in_the_loop(training, made))) or _in_turn(tape)


def _in_turn(tape: Tape) -> Iterator[Finding]:
    for optimizer in tape.optimizers:
        remembers = any(group.get(option) for group in optimizer.groups for option in MEMORY)
        if optimizer.created >= TURNS and remembers:
            said = f"{optimizer.created} {optimizer.name} optimizers were built in turn for the same weights; build one"
            evidence = Evidence(f"{optimizer.name} optimizers of the same weights", optimizer.created, "1")
            yield Finding(FAULT, said, None, (evidence,), (KeepOptimizer(),), known="observed")


def _in_the_loop(training: Training, built: int) -> Iterator[Finding]:
    """Each construction of an optimizer that is repeated in a loop that goes on training."""
    for made in training.optimizers:
        model = _model(made)
        loops = dict.fromkeys(chain[0] for chain in training.chains(made) if chain)
        for loop in loops if model is not None else ():
            if model is not None and _continues(training, loop) and not training.guarded(made, loop):
                yield from _judged(training, made, model, _outermost(training, made, model, loop), built)


def _outermost(training: Training, made: ast.Call, model: ast.expr, loop: Loop) -> Loop:
    """The outermost loop around a construction that trains the same network: the epoch loop, not the batch loop."""
    around = [o for o in training.source.loops(made) if _continues(training, o) and o is not loop]
    kept = [o for o in around if training.is_epoch_loop(o) and not training.rebuilt_in(model, o)]
    return kept[-1] if kept and not training.rebuilt_in(model, loop) else loop


def _model(made: ast.Call) -> ast.expr | None:
    """The network whose parameters are passed to an optimizer."""
    given = (c for c in ast.walk(made) if isinstance(c, ast.Call) and isinstance(c.func, ast.Attribute))
    return next(
        (c.func.value for c in given if isinstance(c.func, ast.Attribute) and c.func.attr == "parameters"), None
    )


def _continues(training: Training, loop: Loop) -> bool:
    """Whether a loop repeats one step or one epoch of a training, rather than a whole training."""
    places = {chain.index(loop) for chain in training.training_chains if loop in chain}
    return bool(places) and max(places) <= 1


def _judged(training: Training, made: ast.Call, model: ast.expr, loop: Loop, built: int) -> Iterator[Finding]:
    rebuilt = training.rebuilt_in(model, loop)
    named = training.is_epoch_loop(loop)
    if rebuilt:
        fresh = all(_is_fresh(training, b) for b in rebuilt)
        if (
            fresh
            and not training.guarded(rebuilt[0].statement, loop)
            and (named or _only_counts(training, loop, model))
        ):
            yield _finding(training, made, loop, rebuilt[0], built if named else 0)
    elif _has_memory(training, made) and (named or loop in training.batch_loops):
        yield _finding(training, made, loop, None, built)


def _is_fresh(training: Training, b: Binding) -> bool:
    """Whether a model is built from its class, not copied or loaded."""
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
    """Whether a loop only counts: its counter is only printed, nothing is collected, the model is used afterwards."""
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


def _finding(training: Training, made: ast.Call, loop: Loop, model: Binding | None, built: int) -> Finding:
    source, place = training.source, model.statement if model is not None else made
    site, round = source.site(place), "epoch" if training.is_epoch_loop(loop) else "round"
    what = "the network and its optimizer are" if model is not None else "the optimizer is"
    said = f"{what} rebuilt in every {round}; move the construction before the loop of line {loop.lineno}"
    code = source.code(source.statement(place)).splitlines()[0].strip()
    evidence = [Evidence("source", code, "before the loop")]
    evidence += [Evidence("optimizers that were built", built, "1")] if built > 1 else []
    lost = model is not None and built >= TURNS
    effect = proven(f"{built} networks were trained in turn, and all but the last discarded") if lost else Effect()
    remedies = tuple(_hoisted(training, made, loop, model))
    known = "observed" if built > 1 else "read"
    return Finding(FAULT, said, site, tuple(evidence), remedies, "error", known=known, effect=effect)


def _hoisted(
    training: Training, made: ast.Call, loop: Loop, model: Binding | None
) -> Iterator[HoistOptimizer | HandOptimizer]:
    """The construction moved before the loop, or passed to the one function that builds it."""
    source = training.source
    moved = [source.site(source.statement(n)) for n in ([model.statement, made] if model else [made])]
    if loop in source.loops(made):
        yield HoistOptimizer(tuple(moved), source.site(loop))
        return
    calls = [c for c in source.all(ast.Call, loop) if source.scope(made) in source.called(c)]
    if len(calls) == 1 and model is None:
        yield HandOptimizer(moved[-1], source.site(calls[0]), source.site(loop))


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
