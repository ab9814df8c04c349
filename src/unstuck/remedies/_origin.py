"""Where a batch's labels come from in the text: back through loaders, data sets, splits and conversions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.remedies._meaning import arguments, attributes, classes, meant, method, returned
from unstuck.remedies._names import full_name
from unstuck.source.text import Place, Sources

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
        case ast.Name(id=name):
            yield from _filled(sources, place, name)
        case ast.Subscript(value=value):
            yield place.of(value)
        case ast.Attribute(value=value, attr=attr) if attr in KEEPING:
            yield place.of(value)
        case ast.Attribute(attr=attr) if not full_name(place.page, place.node):
            yield from attributes(sources, place, attr)
        case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in KEEPING and not full_name(
            place.page, value
        ):
            yield place.of(value)
        case ast.Call(func=func, args=[inner, *_]) if _last(func) in CONVERSIONS:
            if isinstance(inner, ast.Name | ast.Attribute | ast.Subscript | ast.Call):
                yield place.of(inner)


def _filled(sources: Sources, place: Place, name: str) -> Iterator[Place]:
    """What fills a name, latest first: an assignment, a part of one, a loop's turn, a caller."""
    page = place.page
    scopes = [f for f in page.above(place.node) if isinstance(f, ast.FunctionDef)]
    for scope in [*scopes, page.tree]:
        inner = scope if isinstance(scope, ast.FunctionDef) else None
        fillers = [s for s in page.all(ast.stmt, scope) if page.function(s) is inner]
        earlier = [s for s in fillers if page.span(s)[0] <= page.span(place.node)[0] or inner is None]
        for statement in reversed(earlier):
            yield from _by(sources, place, statement, name)
        if inner is not None and name in {a.arg for a in inner.args.args}:
            yield from arguments(sources, place.of(inner), name)


def _by(sources: Sources, place: Place, statement: ast.stmt, name: str) -> Iterator[Place]:
    inside = place.page.span(statement)[0] <= place.page.span(place.node)[0] < place.page.span(statement)[1]
    match statement:
        case ast.Assign(targets=[ast.Name(id=n)], value=value) if n == name and not inside:
            yield place.of(value)
        case ast.Assign(targets=[ast.Tuple(elts=elements)], value=value) if (
            at := _index(elements, name)
        ) is not None and not inside:
            yield from part(sources, place.of(value), at)
        case ast.For(target=target, iter=source):
            yield from _turn(sources, place, target, source, name)


def _turn(sources: Sources, place: Place, target: ast.expr, source: ast.expr, name: str) -> Iterator[Place]:
    counted = isinstance(source, ast.Call) and _last(source.func) in ("enumerate", "tqdm") and bool(source.args)
    if counted and isinstance(source, ast.Call) and _last(source.func) == "enumerate" and isinstance(target, ast.Tuple):
        target = target.elts[1]
    inner = source.args[0] if counted and isinstance(source, ast.Call) else source
    if isinstance(target, ast.Tuple) and (at := _index(target.elts, name)) is not None:
        yield from part(sources, place.of(inner), at)
    elif isinstance(target, ast.Name) and target.id == name:
        yield place.of(inner)


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
            case ast.Name(id=name):
                yield from (p for v in _filled(sources, value, name) for p in part(sources, v, at))


def _index(elements: list[ast.expr], name: str) -> int | None:
    return next((i for i, e in enumerate(elements) if isinstance(e, ast.Name) and e.id == name), None)


def _last(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
