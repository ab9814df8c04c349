"""The layers of a `nn.Sequential` in the text, whether written in it, in a list, or appended to one."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.source.text import Place, Sources
from unstuck.source.values import Source


def items(sources: Sources, sequential: Place) -> list[Place]:
    """The layers' constructions, in the order of the text (a loop's are given once)."""
    source = Source.of(sources)
    node = source.node(sequential)
    assert isinstance(node, ast.Call)
    return [source.place(i) for a in node.args for i in _of(source, a)]


def _of(source: Source, node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.Starred(value=ast.Name() as name):
            yield from (i for part in _listed(source, name) for i in _of(source, part))
        case ast.Starred(value=ast.List(elts=elements)) | ast.List(elts=elements):
            yield from (i for e in elements for i in _of(source, e))
        case ast.Tuple(elts=[_, layer]):
            yield layer
        case ast.Call(func=func, args=[ast.List() as listed]) if source.code(func).endswith("OrderedDict"):
            yield from _of(source, listed)
        case ast.Call(args=args) if source.full_name(node) == "torch.nn.Sequential":
            yield from (i for a in args for i in _of(source, a))
        case _:
            yield node


def _listed(source: Source, name: ast.Name) -> list[ast.expr]:
    """The elements of a list by its name: its literals, `+=`, append, extend, in the order of the text."""
    bound = [b.value for b in source.bindings_of(name) if b.kind in ("assign", "add") and b.item < 0]
    found = [v for v in bound if isinstance(v, ast.List | ast.ListComp)]
    for call in (*source.methods("append"), *source.methods("extend")):
        owner = call.func.value if isinstance(call.func, ast.Attribute) else call
        if source.variable(owner) == source.variable(name):
            found += call.args[:1]
    return sorted(found, key=lambda n: source.page(n).span(n))
