"""Where a network's outputs go in the text: through names, returns and parameters, to what uses them.

When an activation leaves the network, everything but the loss still expects what it gave: those uses get it back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from unstuck.source.edits import folded
from unstuck.source.names import argument_for
from unstuck.source.scopes import Function
from unstuck.source.text import Place, Sources, Splice
from unstuck.source.values import Source
from unstuck.tape import ops

HANDED_ON = {"squeeze", "view", "reshape", "flatten", "unsqueeze", "detach", "cpu", "to", "clone", "data", "ravel"}
HANDED_ON |= {"append", "T"}
JOINED = {"cat", "stack", "concat", "squeeze", "flatten", "reshape"}
ORDER = {"argmax", "max", "topk", "size", "shape", "dim", "numel", "ndim", "device", "dtype", "backward", "len"}
ORDER |= {"requires_grad", "zeroslike"}
"""Uses that an activation does not change, since it keeps the order of the outputs (or that do not look at them)."""
LOSSES = {folded(name) for name in (*ops.LOSSES, *ops.modules(lambda op: op.kind == "loss"))}
MOST = 400


def restored(
    sources: Sources, outputs: list[Place], activation: Callable[[Place], tuple[str, str]]
) -> Iterator[Splice]:
    """The splices that give the activation back to every use of the outputs but the loss.

    `activation(place)` says what goes before and behind: `("torch.sigmoid(", ")")`.
    """
    for use in uses(sources, outputs):
        yield from use.wrapped(*activation(use))


def uses(sources: Sources, outputs: list[Place]) -> list[Place]:
    """The expressions at which outputs are used for something else than the loss."""
    source, found = Source.of(sources), []
    waiting: list[ast.expr] = [source.node(place) for place in outputs]
    seen: set[ast.expr] = set()
    while waiting and len(seen) < MOST:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            further = _onward(source, node)
            waiting += further or []
            found += [source.place(node)] if further is None else []
    return sorted(found, key=lambda p: (p.file, p.page.span(p.node)))


def _onward(source: Source, node: ast.expr) -> list[ast.expr] | None:
    """Where the value of an expression goes next; None where it is used here."""
    parents = source.page(node).parents
    parent = parents[node]
    match parent:
        case ast.Attribute(attr=attr) if folded(attr) in ORDER:
            return []
        case ast.Attribute(attr=attr) if attr in HANDED_ON:
            above = parents[parent]
            return [above if isinstance(above, ast.Call) and above.func is parent else parent]
        case ast.Subscript(value=value) if value is node:
            return [parent]
        case ast.Assign(targets=targets):
            return [read for target in targets for read in _reads(source, node, target)]
        case ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
            return _reads(source, node, target)
        case ast.Return():
            return _callers(source, node)
        case ast.List() | ast.Tuple() if isinstance(parents[parent], ast.Call):
            return [parent]
        case ast.Call():
            return _given(source, node, parent)
        case ast.keyword() if isinstance(call := parents[parent], ast.Call):
            return _given(source, node, call)
        case ast.Expr() | ast.Delete():
            return []
    return None


def _given(source: Source, node: ast.expr, call: ast.Call) -> list[ast.expr] | None:
    name = folded(source.applied(call))
    if name in JOINED:
        return [call]
    if isinstance(call.func, ast.Attribute) and call.func.attr == "append":
        return _reads(source, call, call.func.value)
    if is_loss(name) or name in ORDER or (isinstance(call.func, ast.Name) and call.func.id in ORDER):
        return []
    for function in source.entered(call):
        names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        filled = [n for n in names if argument_for(call, function, n) is node]
        inside = (n for n in source.all(ast.Name, function) if n.id in filled and isinstance(n.ctx, ast.Load))
        return [*inside]
    return None


def is_loss(name: str) -> bool:
    """Whether a torch function or module is a loss, by its (folded) name."""
    return name in LOSSES or name.endswith("loss") or "crossentropy" in name or name == "criterion"


def _reads(source: Source, node: ast.expr, target: ast.expr) -> list[ast.expr]:
    """The later reads of what an assignment (or an append) fills."""
    if not isinstance(target, ast.Name | ast.Attribute):
        return []
    if isinstance(target, ast.Attribute):
        known = source.variable(target)
        return [n for n in source.readers(target) if source.variable(n) == known]
    page = source.page(node)
    after = page.span(node)[1]
    filled = (b.statement for b in source.bindings_of(target) if source.scope(b.statement) is source.scope(node))
    ends = [page.span(s)[1] if isinstance(s, ast.Assign | ast.AugAssign) else page.span(s)[0] for s in filled]
    until = min((end for end in ends if end > page.span(source.statement(node))[1]), default=len(page.text))
    reads = (n for n in source.readers(target) if source.page(n) is page)
    return [n for n in reads if after < page.span(n)[0] < until]


def _callers(source: Source, node: ast.expr) -> list[ast.expr]:
    """The calls of the function that returns a value: of the module's instances, where it is a `forward`."""
    function = source.scope(node)
    if not isinstance(function, Function):
        return []
    owner = source.page(node).parents.get(function)
    if isinstance(owner, ast.ClassDef) and function.name in ("forward", "__call__"):
        return [c for c in source.all(ast.Call) if _is_instance(source, c.func, owner)]
    return [*source.entered_by(function)]


def _is_instance(source: Source, func: ast.expr, owner: ast.ClassDef) -> bool:
    if isinstance(func, ast.Attribute) and func.attr == "forward":
        func = func.value
    made = (v.func for v in source.meant(func) if isinstance(v, ast.Call))
    built = (d for f in made for d in source.definitions(f) if isinstance(d, ast.ClassDef))
    return any(owner in source.lineage(cls) for cls in built)


def construction_called(sources: Sources, construction: Place) -> list[Place]:
    """The calls of what one construction made: `model(x)` for `model = nn.Sequential(...)`."""
    source = Source.of(sources)
    made = source.node(construction)
    return [source.place(c) for c in source.all(ast.Call) if c is not made and made in source.meant(c.func)]


def same_outputs(sources: Sources, prediction: Place) -> list[Place]:
    """All calls, in training and evaluation, of the network that makes a prediction."""
    source = Source.of(sources)
    call = _call_of(source, source.node(prediction))
    if call is None:
        return [prediction]
    made = [v for v in source.meant(call.func) if isinstance(v, ast.Call)]
    return construction_called(sources, source.place(made[0])) if made else [source.place(call)]


def _call_of(source: Source, node: ast.expr | None, depth: int = 8) -> ast.Call | None:
    """The call that a prediction comes from, through names and methods that hand it on."""
    match node:
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in HANDED_ON:
            return _call_of(source, value, depth)
        case ast.Subscript(value=value):
            return _call_of(source, value, depth)
        case ast.Call():
            return node
        case ast.Name() if depth and (b := source.latest(node)) is not None and b.kind == "assign" and b.item < 0:
            return _call_of(source, b.value, depth - 1)
    return None
