"""The layers of a `nn.Sequential` in the text, whether written in it, in a list, or appended to one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.remedies._meaning import assigned
from unstuck.remedies._names import full_name
from unstuck.source.text import Place, Sources


def items(sources: Sources, sequential: Place) -> list[Place]:
    """The layers' constructions, in the order of the text (a loop's are given once)."""
    assert isinstance(sequential.node, ast.Call)
    return [i for a in sequential.node.args for i in _of(sources, sequential.of(a))]


def _of(sources: Sources, place: Place) -> Iterator[Place]:
    match place.node:
        case ast.Starred(value=ast.Name(id=name)):
            yield from _listed(sources, place, name)
        case ast.Starred(value=ast.List(elts=elements)) | ast.List(elts=elements):
            yield from (i for e in elements for i in _of(sources, place.of(e)))
        case ast.Tuple(elts=[_, layer]):
            yield place.of(layer)
        case ast.Call(func=func, args=[ast.List() as listed]) if place.of(func).code.endswith("OrderedDict"):
            yield from _of(sources, place.of(listed))
        case ast.Call(func=func, args=args) if full_name(place.page, func) == "torch.nn.Sequential":
            yield from (i for a in args for i in _of(sources, place.of(a)))
        case ast.expr():
            yield place


def _listed(sources: Sources, place: Place, name: str) -> Iterator[Place]:
    """The elements of a list by its name: its literals, `+=`, append, extend, insert, in the order of the text."""
    scope = place.of(place.page.function(place.node) or place.page.tree)
    found = [v for v in assigned(scope, name) if isinstance(v.node, ast.List | ast.ListComp)]
    for statement in place.page.all(ast.stmt, scope.node):
        match statement:
            case ast.AugAssign(target=ast.Name(id=n), value=ast.List() as more) if n == name:
                found.append(place.of(more))
            case ast.Expr(
                value=ast.Call(func=ast.Attribute(value=ast.Name(id=n), attr="append" | "extend"), args=[one])
            ):
                found += [place.of(one)] if n == name else []
    for value in sorted(found, key=lambda v: v.page.span(v.node)):
        yield from _of(sources, value)
