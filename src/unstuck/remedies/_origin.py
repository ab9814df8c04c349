"""Where a batch's labels come from in the text: back through loaders, data sets, splits and conversions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.remedies._meaning import classes, meant, method, returned
from unstuck.remedies._names import full_name
from unstuck.source.scopes import Function, scopes
from unstuck.source.text import Place, Sources
from unstuck.source.values import Source

CONVERSIONS = {"tensor", "as_tensor", "from_numpy", "array", "asarray", "LongTensor", "FloatTensor", "Tensor", "Series"}
KEEPING = {
    "long",
    "float",
    "int",
    "double",
    "to",
    "cuda",
    "view",
    "reshape",
    "unsqueeze",
    "squeeze",
    "astype",
    "flatten",
}
KEEPING |= {"ravel", "clone", "copy", "values", "to_numpy", "iloc", "loc", "type", "numpy", "cpu"}
DEPTH = 24


def origin(sources: Sources, place: Place) -> Place:
    """The first expression that gives the values: as far back as the text can be followed."""
    here = place
    for _ in range(DEPTH):
        before = next(_before(sources, here), None)
        if before is None:
            return here
        here = before
    return here


def column(sources: Sources, place: Place) -> tuple[Place, str] | None:
    """The pandas table that an expression is a column of, where the text makes it, and the column's name."""
    match place.node:
        case ast.Subscript(value=value, slice=ast.Constant(value=str(key))) | ast.Attribute(value=value, attr=key):
            table = origin(sources, place.of(value))
        case _:
            return None
    made_by = full_name(table.page, table.node.func) if isinstance(table.node, ast.Call) else ""
    return (table, key) if made_by.startswith("pandas.") else None


def given_name(place: Place) -> str:
    """The name that an expression is given right where it stands ("" where it is given none)."""
    match place.page.parents.get(place.node):
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
    return ""


def _before(sources: Sources, place: Place) -> Iterator[Place]:
    match place.node:
        case ast.Subscript(slice=ast.Constant(value=str())):
            return  # a column of a table, an array of a file: what the whole holds is another thing
        case ast.Name():
            yield from _filled(sources, place)
        case ast.Subscript(value=value):
            yield place.of(value)
        case ast.Attribute(value=value, attr=attr) if attr in KEEPING:
            yield place.of(value)
        case ast.Attribute() if not full_name(place.page, place.node):
            source = Source.of(sources)
            yield from map(source.place, source.given(source.node(place)))
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in KEEPING and not full_name(
            place.page, value
        ):
            yield place.of(value)
        case ast.Call(func=func, args=[inner, *_]) if _last(func) in CONVERSIONS:
            if isinstance(inner, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
                yield place.of(inner)


def _filled(sources: Sources, place: Place) -> Iterator[Place]:
    """What fills a name, latest first: an assignment, a part of one, a loop's turn, a caller."""
    source = Source.of(sources)
    node = source.node(place)
    for b in reversed(source.bindings_of(node)):
        own = b.scope is scopes(source.page(node)).of(node)
        if own and (source.inside(node, b.statement) or source.before(node, b.statement)) and b.kind == "assign":
            continue
        if b.kind == "parameter" and isinstance(b.scope, Function):
            yield from map(source.place, source.arguments(b.scope, b.name))
        elif b.kind == "loop" and isinstance(b.statement, ast.For) and b.value is not None:
            yield from _turn(sources, source.place(b.value), b.statement.target, b.name)
        elif b.kind == "assign" and b.value is not None:
            value = source.place(b.value)
            yield from [value] if b.item < 0 else part(sources, value, b.item)


def _turn(sources: Sources, over: Place, target: ast.expr, name: str) -> Iterator[Place]:
    if isinstance(over.node, ast.Call) and _last(over.node.func) in ("enumerate", "tqdm") and over.node.args:
        counted = _last(over.node.func) == "enumerate" and isinstance(target, ast.Tuple)
        target = target.elts[1] if counted and isinstance(target, ast.Tuple) else target
        over = over.of(over.node.args[0])
    if isinstance(target, ast.Tuple) and (at := _index(target.elts, name)) is not None:
        yield from part(sources, over, at)
    elif isinstance(target, ast.Name) and target.id == name:
        yield over


def part(sources: Sources, place: Place, at: int) -> Iterator[Place]:
    """One part of what an expression gives: of a tuple, a loader's batch, a split, an item of a data set."""
    for value in meant(sources, place):
        match value.node:
            case ast.Tuple(elts=elements) if at < len(elements):
                yield value.of(elements[at])
            case ast.Call(func=func, args=args) if _last(func) == "train_test_split" and at // 2 < len(args):
                yield value.of(args[at // 2])
            case ast.Call(func=func, args=args) if _last(func) in ("TensorDataset", "zip") and at < len(args):
                yield value.of(args[at])
            case ast.Call(func=func, args=[inner, *_]) if _last(func) == "random_split":
                yield value.of(inner)  # each of its parts is made of the whole's items
            case ast.Call(func=func, args=[inner, *_]) if _last(func) in ("DataLoader", "Subset", "tqdm", "iter"):
                yield from part(sources, value.of(inner), at)
            case ast.Subscript(value=ast.Call(func=func, args=[inner, *_])) if _last(func) == "random_split":
                yield from part(sources, value.of(inner), at)
            case ast.Call():
                for owner in classes(sources, value):
                    item = method(owner, "__getitem__")
                    for result in returned(item) if item else ():
                        yield from part(sources, result, at)
            case ast.Name():
                yield from (p for v in _filled(sources, value) for p in part(sources, v, at))


def _index(elements: list[ast.expr], name: str) -> int | None:
    return next((i for i, e in enumerate(elements) if isinstance(e, ast.Name) and e.id == name), None)


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
