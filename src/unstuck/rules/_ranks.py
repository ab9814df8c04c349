"""Places in a sorted order taken for ranks: `scores.argsort()[0]` is who comes first, not how far entry 0 comes.

Sorting twice, `scores.argsort().argsort()[0]`, gives the rank of entry 0.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from unstuck.diagnosis.model import Finding
from unstuck.remedies.sort_twice import SortTwice
from unstuck.rules._reported import misreported
from unstuck.signals.source import Source

SORTS, LOGARITHMS = "argsort", {"log", "log2", "log10", "log1p"}
CONVERTS = {"item", "int", "float", "cpu", "numpy", "detach"}
"""Calls that hand one number on."""


def wrong_ranks(source: Source) -> Iterator[Finding]:
    """Report an entry of a sorted order that is divided by, or whose logarithm is taken, and that picks nothing."""
    for call in source.all(ast.Call):
        entry = _entry(source, call) if _last(call) == SORTS and not _sorted_before(source, call) else None
        uses = {_use(source, node) for node in _read(source, entry)} if entry is not None else set()
        if "number" in uses and "place" not in uses:
            said = (
                "an entry of argsort() is used as a rank; it is the place of the entry that has this rank: sort twice"
            )
            yield misreported(source, call, said, SortTwice(source.site(call)))


def _last(call: ast.Call) -> str:
    match call.func:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""


def _sorted_before(source: Source, call: ast.Call) -> bool:
    """Whether what is sorted is an order itself."""
    given = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    parts = (n for node in (*given, *call.args) for value in source.values(node) for n in ast.walk(value))
    return any(isinstance(n, ast.Call) and _last(n) == SORTS for n in parts)


def _entry(source: Source, call: ast.Call) -> ast.expr | None:
    """`scores.argsort()[0].item()` around the call: one entry of each order; None where more or nothing is taken."""
    around = list(source.above(call))
    match around[:1]:
        case [ast.Subscript(value=value, slice=at) as entry] if value is call and _picks_one(at):
            pass
        case _:
            return None
    found: ast.expr = entry
    for outer in around[1:]:
        if isinstance(outer, ast.Attribute) or (isinstance(outer, ast.Call) and _last(outer) in CONVERTS):
            found = outer
        else:
            break
    return found


def _picks_one(at: ast.expr) -> bool:
    """`[0]`, `[:, 0]`, `[k]`: one place of each order."""
    last = at.elts[-1] if isinstance(at, ast.Tuple) and at.elts else at
    return isinstance(last, ast.Constant | ast.Name | ast.UnaryOp)


def _read(source: Source, entry: ast.expr) -> Iterator[ast.expr]:
    """The expressions that read an entry: itself, or the names that it was given to."""
    outer = next(iter(source.above(entry)), None)
    if not isinstance(outer, ast.Assign) or outer.value is not entry:
        yield entry
        return
    for name in source.page(entry).all(ast.Name):
        if isinstance(name.ctx, ast.Load) and any(b.value is entry for b in source.bindings_of(name)):
            yield name


def _use(source: Source, node: ast.expr) -> str:
    """What an expression is used as: a "number", a "place", or neither for certain ("")."""
    inner: ast.AST = node
    for outer in source.above(node):
        match outer:
            case ast.Subscript(slice=at) if at is inner:
                return "place"
            case ast.Compare(ops=[ast.Eq() | ast.NotEq() | ast.In() | ast.NotIn(), *_]):
                return "place"
            case ast.BinOp(op=ast.Div(), right=right) if right is inner:
                return "number"
            case ast.Call() if _last(outer) in LOGARITHMS:
                return "number"
            case ast.Call() if _last(outer) not in CONVERTS and inner is not outer.func:
                return "place"
            case ast.stmt():
                return ""
        inner = outer
    return ""
