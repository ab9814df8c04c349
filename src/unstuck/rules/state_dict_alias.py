"""The best weights are kept without a copy, so later steps overwrite them.

## Why it hurts

`model.state_dict()` returns references to the weights, not copies. What was kept at the best epoch changes with every
further step. Loading it at the end restores nothing: the last weights are evaluated and saved as the best.

## How it is seen

In the source: a `state_dict()` (or the model itself) is kept under a name in a training loop without `deepcopy` or
`clone`, the model is not rebuilt in that loop, and the kept object is loaded, saved or returned later. The recorded
evaluations show the effect: after the weights were restored, the outputs are still those of the last epoch, although an
earlier evaluation of the same rows scored better.

## What to do

Use `best = copy.deepcopy(model.state_dict())`, or save the weights to a file at that moment.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Effect, Evidence, Finding, Known, NotApplicable, proven
from unstuck.diagnosis.skill import differs
from unstuck.diagnosis.stages import Stage
from unstuck.remedies.copy_state import CopyState
from unstuck.signals.printed import improved
from unstuck.signals.recomputed import Answers
from unstuck.signals.source import Binding, Loop, Scope
from unstuck.signals.training import Training, tail
from unstuck.tape.model import Tape

FAULT = "state-dict-alias"
STAGE = Stage.REPORTING
NEVER_MEANT = True
SHALLOW = {"dict", "OrderedDict", "copy"}
"""Calls that copy the dict but keep its tensors."""
KEEPERS = {"load_state_dict", "save", "append"}


def check(training: Training, tape: Tape) -> Iterator[Finding]:
    """Report each reference to weights that is kept in a training loop and used later."""
    for b in training.source.bindings:
        if b.kind == "assign" and b.item < 0 and b.value is not None:
            for kept, model in (*_states(training, b.value), *_models(training, b)):
                if _trains_on(training, b, model) and _used_later(training, b, model):
                    yield _finding(training, b, kept, tape)


def _states(training: Training, value: ast.expr) -> Iterator[tuple[ast.Call, ast.expr]]:
    """The `model.state_dict()` calls whose tensors reach the value without a copy."""
    for call in training.methods("state_dict", value):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else None
        if owner is not None and training.is_trained(owner) and _aliased(training, call, value):
            yield call, owner


def _aliased(training: Training, call: ast.expr, value: ast.expr) -> bool:
    inner: ast.AST = call
    for outer in (call, *training.source.above(call)):
        if outer is not call and not _passes_on(outer, inner):
            return False
        if outer is value:
            return True
        inner = outer
    return False


def _passes_on(outer: ast.AST, inner: ast.AST) -> bool:
    if isinstance(outer, ast.DictComp):
        return isinstance(outer.value, ast.Name)
    if isinstance(outer, ast.Call):
        return tail(ast.unparse(outer.func)) in SHALLOW | {"items"}
    if isinstance(outer, ast.Attribute):
        return outer.attr in ("items", "copy")
    return isinstance(outer, ast.Dict | ast.Tuple | ast.List | ast.keyword | ast.comprehension) and inner is not None


def _models(training: Training, b: Binding) -> Iterator[tuple[ast.expr, ast.expr]]:
    """`best_model = model` under a condition."""
    value = b.value
    named = isinstance(value, ast.Name | ast.Attribute) and "best" in b.name.lower()
    chosen = any(training.guarded(b.statement, loop) for loop in training.source.loops(b.statement))
    if value is not None and named and chosen and training.is_trained(value):
        yield value, value


def _trains_on(training: Training, b: Binding, model: ast.expr) -> list[Loop]:
    """The training loops that go on training the same model after it was kept."""
    around = dict.fromkeys(loop for chain in training.chains(b.statement) for loop in chain)
    return [loop for loop in around if loop in training.training_loops and not _fresh(training, model, loop)]


def _fresh(training: Training, model: ast.expr, loop: Loop) -> bool:
    return bool(training.rebuilt_in(model, loop))


def _used_later(training: Training, b: Binding, model: ast.expr) -> bool:
    loops = _trains_on(training, b, model)
    for node in _reads(training, b):
        if _at_once(training, b, node):
            continue
        outside = _outside(training, node, loops)
        use = _use(training, node)
        if use == "load" or (use == "keep" and outside):
            return True
        if outside and not isinstance(b.value, ast.Call | ast.Dict | ast.DictComp) and use:
            return True
    return False


def _outside(training: Training, node: ast.expr, loops: list[Loop]) -> bool:
    """Whether training goes on before a read: a loop has it neither in its text nor in a function that it calls."""
    called_in = {loop for chain in training.chains(node) for loop in chain}
    return not any(training.source.inside(node, loop) for loop in loops) and not called_in.issuperset(loops)


def _at_once(training: Training, b: Binding, node: ast.expr) -> bool:
    """Whether a read follows in the binding's own block, and nothing changes the weights in between."""
    above, statement = list(training.source.above(node)), b.statement
    around = training.source.page(statement).parents[statement]
    blocks: Iterator[list[ast.AST]] = (v for _, v in ast.iter_fields(around) if isinstance(v, list) and statement in v)
    after = [s for block in blocks for s in block[block.index(statement) + 1 :]]
    last = next((n for n, s in enumerate(after) if s in above), None)
    own = next((n for n in above if isinstance(n, ast.Call)), None)
    return last is not None and not any(_changes_weights(training, s, own) for s in after[: last + 1])


def _changes_weights(training: Training, statement: ast.AST, own: ast.Call | None) -> bool:
    """Whether a statement, or a function that it enters, trains or loads weights; the call that reads is left out."""
    parts = training.reached(statement)
    changing = {*training.backwards, *training.steps, *training.methods("load_state_dict")} - {own}
    return any(call in changing for part in parts for call in training.source.all(ast.Call, part))


def _reads(training: Training, b: Binding) -> Iterator[ast.expr]:
    own = b.name.startswith("self.")
    scope: Scope | None = None if own else b.scope
    for node in training.source.all(ast.expr, scope):
        same = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
        named = same and (ast.unparse(node) == b.name or (own and getattr(node, "attr", "") == tail(b.name)))
        if named and not training.source.inside(node, b.statement):
            yield node


def _use(training: Training, node: ast.expr) -> str:
    """load: given to load_state_dict; keep: saved, returned or called; "" for mere reads."""
    for outer in training.source.above(node):
        if isinstance(outer, ast.Call):
            name = tail(ast.unparse(outer.func))
            return "load" if name == "load_state_dict" else "keep" if name not in ("print", "len", "isinstance") else ""
        if isinstance(outer, ast.Return):
            return "keep"
        if isinstance(outer, ast.Compare | ast.stmt):
            return ""
    return ""


def _finding(training: Training, b: Binding, kept: ast.expr, tape: Tape) -> Finding:
    source, site = training.source, training.source.site(kept)
    said = f"{b.name} holds references to the weights, which later steps overwrite; use copy.deepcopy()"
    evidence = Evidence("source", source.code(b.statement).splitlines()[0], "a copy of the weights")
    known, effect = _restored(tape)
    return Finding(FAULT, said, site, (evidence,), (CopyState(site),), "error", known=known, effect=effect)


def _restored(tape: Tape) -> tuple[Known, Effect]:
    """Observed if the restored weights give the outputs of the last epoch; proven if an earlier epoch was better."""
    last = tape.evaluations[-1] if tape.evaluations else None
    same = [(n, e) for n, e in enumerate(tape.evaluations) if last is not None and set(e.outside) & set(last.outside)]
    again = [e for _, e in same[:-1] if last is not None and e.after == last.after]
    if last is None or not last.output or not any(e.output == last.output for e in again):
        return "read", Effect()
    try:
        answers = Answers.read(tape)
    except NotApplicable:
        return "observed", Effect()
    skills = [s for n, e in same if e.after and (s := answers.skill(n)) is not None]
    if not skills or not differs(skills[-1], max(skills)):
        return "observed", Effect()
    said = f"after the restore the evaluation is still that of the last epoch: skill {skills[-1]:.2f}"
    return "observed", proven(f"{said} instead of {max(skills):.2f} at the best epoch")


def verify(before: Tape, after: Tape) -> str | None:
    """The training is the same, and a printed metric is better with the best weights."""
    better = improved(before, after)
    return f"with a copy of the best weights: {better}" if better is not None else None


_SCRIPT = """
import copy

import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(300, 5)
y = (x[:, 0] + torch.randn(300) > 0).long()
model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Linear(32, 2))
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
best, best_loss = None, float("inf")

for epoch in range(30):
    for batch in torch.randperm(200).split(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        held_out = nn.functional.cross_entropy(model(x[200:]), y[200:]).item()
    if held_out < best_loss:
        best_loss = held_out
        best = {kept}

model.load_state_dict(best)
with torch.no_grad():
    print("best loss", best_loss, "restored loss", nn.functional.cross_entropy(model(x[200:]), y[200:]).item())
"""

FIRES = _SCRIPT.format(kept="model.state_dict()")
QUIET = _SCRIPT.format(kept="copy.deepcopy(model.state_dict())")
