"""A running total holds the loss itself, and with it every step's graph.

## Why it hurts

A loss that `backward()` was called on still hangs on the graph that made it. `total += loss` links each step's graph to
all those before, so memory grows with every batch until the machine gives up, and each addition makes the chain longer.
The training itself is not changed.

## How it is seen

The text is read: the name that `backward()` is called on is added to a total, or appended to a list, in the same loop,
without `.item()`, `.detach()` or `float()`; and nothing calls `backward()` on that total. The run is asked too: a mark
on each loss's node tells how many graphs of past steps are alive at once.

## What to do

Add the number, not the tensor: `total += loss.item()`. Where the copy to the host is too slow, `loss.detach()`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Evidence, Finding
from unstuck.remedies.detach_total import DetachTotal
from unstuck.signals.source import Binding, Source
from unstuck.signals.training import Training
from unstuck.tape.model import Tape

FAULT = "loss-keeps-graph"
SEEN, FREED = 16, 2
"""From so many steps on the graphs alive at once are known, and so many are a healthy loop's."""
LONG, NEARLY = 64, 0.9
"""Over so many steps, with this share of the graphs alive, nothing but the end of the script lets go of them."""
KEEPERS = {"append", "extend", "appendleft", "add"}
"""Methods that put what they are given into a container."""


def check(training: Training, tape: Tape) -> Iterator[Finding]:
    """Each loss that was stepped back through, and every total of its loop that holds it; the run may deny it."""
    most, steps = tape.facts.get("graphs", (0, 0))
    if steps >= SEEN and most <= FREED:
        return
    found = [finding for backward in training.backwards for finding in _of(training, backward, most, steps)]
    yield from found
    if not found and steps >= LONG and most >= NEARLY * steps:
        said = f"the graphs of {most} of the {steps} steps looked at are alive at once: something keeps every loss"
        told = f"{most} of {steps} graphs were never let go of"
        yield Finding(FAULT, said, None, (_alive(most, steps),), (), "error", demonstrated=told)


def _of(training: Training, backward: ast.Call, most: int, steps: int) -> Iterator[Finding]:
    loss = backward.func.value if isinstance(backward.func, ast.Attribute) else None
    if isinstance(loss, ast.Name) and training.chains(backward) != [()]:
        for kept in _kept(training, loss):
            yield _finding(training.source, loss.id, kept, (_alive(most, steps),) if most > FREED else ())


def _alive(most: int, steps: int) -> Evidence:
    return Evidence("graphs of past steps alive at once", f"{most} of {steps}", "1 or 2")


def _kept(training: Training, loss: ast.Name) -> Iterator[ast.Name]:
    """The places where the loss goes into a total of its own scope as it is."""
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
    """What the loss is added to or put into by a statement; "" where it is neither."""
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
    """Whether the tensor itself is in the value: only sums, products and lists stand around the name."""
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
    """`loss = loss.item()` and its like."""
    found = (n for n in ast.walk(b.value) if isinstance(n, ast.Attribute)) if b.value is not None else iter(())
    plain = any(n.attr in ("item", "detach", "data", "detach_", "numpy", "tolist") for n in found)
    cast = isinstance(b.value, ast.Call) and ast.unparse(b.value.func) == "float"
    return plain or cast


def _is_backed(training: Training, total: str, scope: ast.AST) -> bool:
    """Whether gradients are taken of the total, or may be: it is returned, handed over, or stepped back through."""
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
    """Whether some backward of the scope is of a sum of what was kept, rather than of one step's loss."""
    owners = (b.func.value for b in training.backwards if isinstance(b.func, ast.Attribute))
    own = [o for o in owners if training.source.inside(o, scope)]
    values = [v for o in own for v in training.source.values(o)]
    return any("stack" in ast.unparse(v) or "sum" in ast.unparse(v) or "cat" in ast.unparse(v) for v in values)


def _finding(source: Source, loss: str, kept: ast.Name, more: tuple[Evidence, ...]) -> Finding:
    site = source.site(kept)
    statement = source.code(source.statement(kept)).splitlines()[0]
    said = f"`{statement}` keeps {loss} with its graph: memory grows with every batch"
    evidence = Evidence("what is kept per step", f"{loss} and its graph", f"a number, {loss}.item()")
    told = f"line {site.line} keeps the tensor that backward() was called on; nothing lets go of it"
    return Finding(FAULT, said, site, (evidence, *more), (DetachTotal(site),), "error", demonstrated=told)


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
