"""Where a network's outputs go in the text: through names, returns and parameters, to what uses them.

When an activation leaves the network, everything but the loss still expects what it gave: those uses get it back.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

from unstuck.remedies._meaning import applied, meant
from unstuck.remedies._moves import folded
from unstuck.source.names import argument_for
from unstuck.source.text import Page, Place, Sources, Splice
from unstuck.source.values import Source

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
    source, page = Source.of(sources), place.page
    known = source.variable(source.node(place.of(target)))
    if known is None:
        return []
    within = None if isinstance(target, ast.Attribute) else page.tree
    same = (n for n in source.all(ast.expr, within) if type(n) is type(target))
    named: list = [n for n in same if source.variable(n) == known]
    if isinstance(target, ast.Attribute):
        return [source.place(n) for n in named if isinstance(n.ctx, ast.Load)]
    after = page.span(place.node)[1]
    later = (n for n in named if isinstance(n.ctx, ast.Store) and page.span(n)[0] > after)
    until = next((_end(page, n) for n in later if page.function(n) is page.function(place.node)), len(page.text))
    return [place.of(n) for n in named if isinstance(n.ctx, ast.Load) and after < page.span(n)[0] < until]


def _end(page: Page, name: ast.expr) -> int:
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
    source = Source.of(sources)
    return [source.place(c) for c in source.entered_by(function)]


def instances_called(sources: Sources, name: str) -> list[Place]:
    """The calls of instances of a class of the person's."""
    source = Source.of(sources)
    return [source.place(c) for c in source.all(ast.Call) if _is_instance(source, c.func, name)]


def _is_instance(source: Source, func: ast.expr, name: str) -> bool:
    if isinstance(func, ast.Attribute) and func.attr == "forward":
        func = func.value
    made = [v.func for v in source.meant(func) if isinstance(v, ast.Call) and v is not func]
    return any(isinstance(d, ast.ClassDef) and d.name == name for f in made for d in source.definitions(f))


def construction_called(sources: Sources, construction: Place) -> list[Place]:
    """The calls of what one construction made: `model(x)` for `model = nn.Sequential(...)`."""
    source = Source.of(sources)
    made = source.node(construction)
    found = (c for c in source.all(ast.Call) if c is not made and made in source.meant(c.func))
    return [source.place(c) for c in found]


def _parameter_reads(sources: Sources, place: Place, call: ast.Call) -> list[Place] | None:
    """The reads of the parameter that an argument fills, inside the person's function; None where it is not theirs."""
    source = Source.of(sources)
    for function in source.entered(call):
        names = [a.arg for a in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
        filled = [n for n in names if argument_for(call, function, n) is place.node]
        inside = (n for n in source.all(ast.Name, function) if n.id in filled and isinstance(n.ctx, ast.Load))
        return [source.place(n) for n in inside]
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
        case ast.Name():
            b = Source.of(sources).latest(place.node)
            if b is not None and b.value is not None and b.kind == "assign" and b.item < 0:
                yield from _calls(sources, place.of(b.value))
