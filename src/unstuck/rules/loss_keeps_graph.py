"""A running total keeps the autograd graph of every step, so memory grows.

## Why it hurts

A loss tensor holds the graph that computed it. `total += loss` links each step's graph to all graphs before, so memory
grows with every batch until the run fails with an out-of-memory error. The training itself is not changed.

## How it is seen

The recorder counts how many graphs of past steps are alive at once: 1 or 2 in a loop that frees them. The source shows
where they are kept: the name that `backward()` is called on is added to a total or appended to a list in the same loop
without `.item()`, `.detach()` or `float()`, and `backward()` is never called on that total.

## What to do

Add the number, not the tensor: `total += loss.item()`, or `loss.detach()` where the copy to the host is too slow.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, Known, proven
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.detach_total import DetachTotal
from unstuck.signals.source import Binding, Source
from unstuck.signals.training import Training
from unstuck.tape.model import Tape

FAULT = "loss-keeps-graph"
STAGE = Stage.REPORTING
NEVER_MEANT = True
SEEN, FREED, HELD = 16, 2, 4
"""The recorder counts every 16 steps. A loop that frees its graphs has the current and the previous one alive, GAN
training one more."""
LONG, NEARLY = 64, 0.9
"""Nearly all graphs of this many steps: they are kept to the end of the script, not for some steps of accumulation."""
KEEPERS = {"append", "extend", "appendleft", "add"}
"""Methods that put their argument into a container."""


def check(training: Training, tape: Tape) -> Iterator[Finding]:
    """Report each total that keeps the loss, unless the recorder saw the graphs freed; else graphs kept unseen."""
    most, steps = _alive(tape)
    if steps >= SEEN and most <= FREED:
        return
    found = [finding for backward in training.backwards for finding in _of(training, backward, most, steps)]
    yield from found
    if not found and steps >= LONG and most >= NEARLY * steps:
        said = "the graph of every step is kept, so memory grows with each batch; store loss.item() or loss.detach()"
        known, effect, evidence = _graded(most, steps)
        yield Finding(FAULT, said, None, evidence, (), "error", known=known, effect=effect)


def verify(before: Tape, after: Tape) -> str | None:
    """Graphs of past steps were kept, and are freed now."""
    (old, steps), (new, more) = _alive(before), _alive(after)
    if old < HELD or new > FREED or not more:
        return None
    return f"graphs of past steps alive at once: {old} of {steps} before, {new} after the patch"


def _alive(tape: Tape) -> tuple[int, int]:
    """The most graphs of past steps alive at once, and of how many steps."""
    return tape.facts.graphs


def _of(training: Training, backward: ast.Call, most: int, steps: int) -> Iterator[Finding]:
    loss = backward.func.value if isinstance(backward.func, ast.Attribute) else None
    if isinstance(loss, ast.Name) and training.chains(backward) != [()]:
        for kept in _kept(training, loss):
            yield _finding(training.source, loss.id, kept, most, steps)


def _graded(most: int, steps: int) -> tuple[Known, Effect, tuple[Evidence, ...]]:
    """Proven if the recorder saw graphs kept, else read."""
    if most <= FREED:
        return "read", Effect(), ()
    told = f"{most} of {steps}"
    effect = proven(f"{told} graphs of past steps were alive at once") if most >= HELD else Effect()
    return "observed", effect, (Evidence("graphs of past steps alive at once", told, "1 or 2"),)


def _kept(training: Training, loss: ast.Name) -> Iterator[ast.Name]:
    """The places where the loss tensor goes into a total of its own scope."""
    source, scope = training.source, training.source.scope(loss)
    own = (n for n in source.all(ast.Name, scope) if n.id == loss.id and isinstance(n.ctx, ast.Load))
    for name in own:
        if source.scope(name) is not scope or not _still_a_loss(training, name, loss):
            continue
        statement = source.statement(name)
        total = _total(source, name, statement)
        if total and not _is_backed(training, total, scope) and not training.gradient_free(name):
            yield name


def _total(source: Source, name: ast.Name, statement: ast.stmt) -> str:
    """What a statement adds the loss to or puts it into; "" if neither."""
    if (
        isinstance(statement, ast.AugAssign)
        and isinstance(statement.op, ast.Add)
        and _carried(source, name, statement.value)
    ):
        return ast.unparse(statement.target)
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.value, ast.BinOp):
        target = ast.unparse(statement.targets[0])
        sums = isinstance(statement.value.op, ast.Add) and target in (ast.unparse(n) for n in ast.walk(statement.value))
        return target if sums and target != name.id and _carried(source, name, statement.value) else ""
    call = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in KEEPERS:
        return ast.unparse(call.func.value) if any(_carried(source, name, a) for a in call.args) else ""
    return ""


def _carried(source: Source, name: ast.Name, value: ast.expr) -> bool:
    """Whether the value holds the tensor itself: only sums, products and lists surround the name."""
    for outer in (name, *source.above(name)):
        if outer is not name and not isinstance(outer, ast.BinOp | ast.List | ast.Tuple):
            return False
        if outer is value:
            return True
    return False


def _still_a_loss(training: Training, name: ast.Name, loss: ast.Name) -> bool:
    source = training.source
    together = set(source.loops(name)[:1]) == set(source.loops(loss)[:1]) and bool(training.chains(name)[0])
    return together and not any(_turns_plain(b) for b in source.bound(name.id, source.scope(name)))


def _turns_plain(b: Binding) -> bool:
    """`loss = loss.item()` and similar."""
    found = (n for n in ast.walk(b.value) if isinstance(n, ast.Attribute)) if b.value is not None else iter(())
    plain = any(n.attr in ("item", "detach", "data", "detach_", "numpy", "tolist") for n in found)
    cast = isinstance(b.value, ast.Call) and ast.unparse(b.value.func) == "float"
    return plain or cast


def _is_backed(training: Training, total: str, scope: ast.AST) -> bool:
    """Whether backward() is or may be called on the total."""
    source = training.source
    for node in source.all(ast.expr, scope):
        if not isinstance(node, ast.Name | ast.Attribute | ast.Subscript) or ast.unparse(node) != total:
            continue
        for outer in source.above(node):
            if isinstance(outer, ast.stmt):
                break
            if isinstance(outer, ast.Attribute) and outer.attr.endswith("backward"):
                return True
            if isinstance(outer, ast.Call) and source.full_name(outer).startswith(
                ("torch.autograd", "torch.stack", "torch.cat")
            ):
                return _flows_back(training, scope)
    return False


def _flows_back(training: Training, scope: ast.AST) -> bool:
    """Whether a backward of the scope goes through a sum of the kept losses."""
    owners = (b.func.value for b in training.backwards if isinstance(b.func, ast.Attribute))
    own = [o for o in owners if training.source.inside(o, scope)]
    values = [v for o in own for v in training.source.values(o)]
    return any("stack" in ast.unparse(v) or "sum" in ast.unparse(v) or "cat" in ast.unparse(v) for v in values)


def _finding(source: Source, loss: str, kept: ast.Name, most: int, steps: int) -> Finding:
    site, code = source.site(kept), source.code(source.statement(kept)).splitlines()[0]
    said = f"`{code}` keeps the graph of every step, so memory grows with each batch; use {loss}.item()"
    known, effect, alive = _graded(most, steps)
    evidence = (Evidence("source", code, f"{loss}.item()"), *alive)
    return Finding(FAULT, said, site, evidence, (DetachTotal(site),), "error", known=known, effect=effect)


_SCRIPT = """
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(512, 8)
y = x[:, :1] - 2 * x[:, 1:2]
model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

for epoch in range(8):
    total = 0.0
    for batch in torch.randperm(512).split(32):
        loss = nn.functional.mse_loss(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += {added}
    print(epoch, float(total) / 16)
"""

FIRES = _SCRIPT.format(added="loss")
QUIET = _SCRIPT.format(added="loss.item()")
