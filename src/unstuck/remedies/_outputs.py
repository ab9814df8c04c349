"""Where a network's outputs go in the text: through names, returns and parameters, to what uses them.

When an activation leaves the network, everything but the loss still expects what it gave: those uses get it back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from unstuck.remedies._meaning import applied, arguments, assigned, calls_of, meant
from unstuck.remedies._moves import folded
from unstuck.source.text import Page, Place, Sources, Splice

HANDED_ON = {
    "squeeze",
    "view",
    "reshape",
    "flatten",
    "unsqueeze",
    "detach",
    "cpu",
    "to",
    "clone",
    "data",
    "ravel",
    "append",
    "T",
}
JOINED = {"cat", "stack", "concat", "squeeze", "flatten", "reshape"}
ORDER = {
    "argmax",
    "max",
    "topk",
    "size",
    "shape",
    "dim",
    "numel",
    "ndim",
    "device",
    "dtype",
    "backward",
    "requires_grad",
    "len",
    "zeroslike",
}
"""Uses that an activation does not change, since it keeps the order of the outputs (or that do not look at them)."""
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
    open_, seen, found = list(outputs), set(), []
    while open_ and len(seen) < MOST:
        place = open_.pop()
        if place.node in seen:
            continue
        seen.add(place.node)
        further, is_use = _onward(sources, place)
        open_ += further
        found += [place] if is_use else []
    return sorted(found, key=lambda p: (p.file, p.page.span(p.node)))


def _onward(sources: Sources, place: Place) -> tuple[list[Place], bool]:
    """Where the value of an expression goes next, and whether it is used here."""
    page, node = place.page, place.node
    parent = page.parents[node]
    match parent:
        case ast.Attribute(attr=attr) if folded(attr) in ORDER:
            return [], False
        case ast.Attribute(attr=attr) if attr in HANDED_ON:
            above = page.parents[parent]
            return [place.of(above if isinstance(above, ast.Call) and above.func is parent else parent)], False
        case ast.Subscript(value=value) if value is node:
            return [place.of(parent)], False
        case ast.Assign(targets=targets):
            return [p for t in targets for p in _reads(sources, place, t)], False
        case ast.AnnAssign(target=target) | ast.NamedExpr(target=target):
            return _reads(sources, place, target), False
        case ast.Return():
            return _callers(sources, place), False
        case ast.List() | ast.Tuple() if isinstance(page.parents[parent], ast.Call):
            return [place.of(parent)], False
        case ast.Call():
            return _given(sources, place, parent)
        case ast.keyword() if isinstance(call := page.parents[parent], ast.Call):
            return _given(sources, place, call)
        case ast.Expr() | ast.Delete():
            return [], False
    return [], True


def _given(sources: Sources, place: Place, call: ast.Call) -> tuple[list[Place], bool]:
    target = place.of(call)
    name = folded(applied(sources, target))
    if name in JOINED:
        return [target], False
    if isinstance(call.func, ast.Attribute) and call.func.attr == "append":
        return _reads(sources, target, call.func.value), False
    if is_loss(name) or name in ORDER or (isinstance(call.func, ast.Name) and call.func.id in ORDER):
        return [], False
    inside = _parameter_reads(sources, place, call)
    return (inside, False) if inside is not None else ([], True)


def is_loss(name: str) -> bool:
    """Whether a torch function or module is a loss, by its (folded) name."""
    return name.endswith("loss") or "crossentropy" in name or name in ("kldiv", "criterion")


def _reads(sources: Sources, place: Place, target: ast.expr) -> list[Place]:
    """The later reads of what an assignment (or an append) fills."""
    page = place.page
    if isinstance(target, ast.Attribute):
        same = ast.unparse(target)
        return [place.of(n) for n in page.all(ast.Attribute) if isinstance(n.ctx, ast.Load) and ast.unparse(n) == same]
    if not isinstance(target, ast.Name):
        return []
    scope = page.function(place.node)
    inside = [n for n in page.all(ast.Name, scope) if n.id == target.id and page.function(n) is scope]
    after = page.span(place.node)[1]
    until = next(
        (_end(page, n) for n in inside if isinstance(n.ctx, ast.Store) and page.span(n)[0] > after), len(page.text)
    )
    return [place.of(n) for n in inside if isinstance(n.ctx, ast.Load) and after < page.span(n)[0] < until]


def _end(page: Page, name: ast.Name) -> int:
    """Where the statement that fills a name anew ends: the reads in it are the last of what the name held before."""
    statement = page.statement(name)
    return page.span(statement)[1] if isinstance(statement, ast.Assign | ast.AugAssign) else page.span(name)[0]


def _callers(sources: Sources, place: Place) -> list[Place]:
    """The calls of the function that returns a place: of the module's instances, where it is a `forward`."""
    function = place.page.function(place.node)
    if function is None:
        return []
    owner = place.page.parents.get(function)
    if isinstance(owner, ast.ClassDef) and function.name in ("forward", "__call__"):
        return instances_called(sources, owner.name)
    return list(calls_of(sources, function.name))


def instances_called(sources: Sources, name: str) -> list[Place]:
    """The calls of instances of a class of the person's."""
    found = (w.of(c) for w in sources.pages() for c in w.page.all(ast.Call))
    return [p for p in found if isinstance(p.node, ast.Call) and _is_instance(sources, p.of(p.node.func), name)]


def _is_instance(sources: Sources, func: Place, name: str) -> bool:
    if isinstance(func.node, ast.Attribute) and func.node.attr == "forward":
        func = func.of(func.node.value)
    if func.code == name:
        return False
    values = [v.node for v in meant(sources, func)]
    return any(isinstance(v, ast.Call) and ast.unparse(v.func).rpartition(".")[2] == name for v in values)


def construction_called(sources: Sources, construction: Place) -> list[Place]:
    """The calls of what one construction made: `model(x)` for `model = nn.Sequential(...)`."""
    found = (w.of(c) for w in sources.pages() for c in w.page.all(ast.Call))
    return [
        p
        for p in found
        if isinstance(p.node, ast.Call) and p.node is not construction.node and _makes(sources, p, construction)
    ]


def _makes(sources: Sources, call: Place, construction: Place) -> bool:
    assert isinstance(call.node, ast.Call)
    return any(v.node is construction.node for v in meant(sources, call.of(call.node.func)))


def _parameter_reads(sources: Sources, place: Place, call: ast.Call) -> list[Place] | None:
    """The reads of the parameter that an argument fills, inside the person's function; None where it is not theirs."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    for whole in sources.pages():
        for function in whole.page.all(ast.FunctionDef):
            if function.name == name:
                names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
                filled = [n for n in names if place.node in [a.node for a in arguments(sources, whole.of(function), n)]]
                inside = (
                    n for n in whole.page.all(ast.Name, function) if n.id in filled and isinstance(n.ctx, ast.Load)
                )
                return [whole.of(n) for n in inside]
    return None


def same_outputs(sources: Sources, prediction: Place) -> list[Place]:
    """All calls, in training and evaluation, of the network that makes a prediction."""
    call = next((v for v in _calls(sources, prediction)), None)
    if call is None or not isinstance(call.node, ast.Call):
        return [prediction]
    values = meant(sources, call.of(call.node.func))
    made = [v for v in values if isinstance(v.node, ast.Call)]
    return construction_called(sources, made[0]) if made else [call]


def _calls(sources: Sources, place: Place) -> Iterator[Place]:
    """The call that a prediction comes from, through names and methods that hand it on."""
    match place.node:
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in HANDED_ON:
            yield from _calls(sources, place.of(value))
        case ast.Subscript(value=value):
            yield from _calls(sources, place.of(value))
        case ast.Call():
            yield place
        case ast.Name(id=name):
            scope = place.of(place.page.function(place.node) or place.page.tree)
            before = [v for v in assigned(scope, name) if v.page.span(v.node)[1] < place.page.span(place.node)[0]]
            for value in before[-1:]:
                yield from _calls(sources, value)
