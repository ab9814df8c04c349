"""Places in the text where fractions are cut off: whole-number division, and shares that are stored as integers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.signals.source import Source
from unstuck.tape.model import Tape

METHODS = {"int", "long", "short", "byte"}
INTEGERS = METHODS | {"uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "intp", "int_", "u1", "i4", "i8"}
INTEGERS |= {"LongTensor", "IntTensor", "ByteTensor"}
MAKERS = {"array", "asarray", "tensor", "as_tensor", "zeros", "empty", "ones", "full", "zeros_like", "empty_like", "to"}
"""Calls with a dtype among their arguments."""
COUNTS = {"len", "range", "shape", "size", "numel"}
LEAST = 2.0
"""A whole-number division by less than this is no change of scale."""


@dataclass(frozen=True)
class Truncation:
    """Expressions that turn shares into whole numbers, most telling first (none where there is no text)."""

    sites: tuple[Site, ...]
    lines: tuple[str, ...]
    shares: tuple[Site, ...] = ()
    """Divisions whose results are cast, where there are such."""

    @classmethod
    def read(cls, tape: Tape) -> Truncation:
        try:
            source = Source.read(tape)
        except NotApplicable:
            return cls((), ())
        found = list(dict.fromkeys((*_casts(source), *_stored(source), *_divisions(source))))
        shares = dict.fromkeys(d for n in found if (d := _share(source, n)) is not None)
        lines = tuple(source.code(n).splitlines()[0] for n in found)
        return cls(tuple(source.site(n) for n in found), lines, tuple(source.site(d) for d in shares))


def _casts(source: Source) -> Iterator[ast.expr]:
    """`(x / 255).astype(np.uint8)`, `torch.tensor(x / 255, dtype=torch.long)`, `share.int()`."""
    return (c for c in source.all(ast.Call) if _cast(c) and _share(source, c) is not None)


def _share(source: Source, node: ast.expr) -> ast.BinOp | None:
    """The division whose result a cast cuts off; None if it is another's or the node is no cast."""
    match node:
        case ast.Call(func=ast.Attribute(value=subject, attr=name)) if name in METHODS | {"astype", "type", "to"}:
            return _division(source, subject)
        case ast.Call(func=ast.Attribute(attr=name), args=[subject, *_]) if name in MAKERS | INTEGERS:
            return _division(source, subject)
    return None


def _cast(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if (name in METHODS and not call.args) or (name in INTEGERS and call.args):
        return True
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "dtype")]
    return name in MAKERS | {"astype", "type"} and any(is_integer(a) for a in given)


def is_integer(node: ast.expr) -> bool:
    """Whether an argument names a type of whole numbers: np.uint8, "int32", int."""
    match node:
        case ast.Constant(value=str(name)) | ast.Name(id=name) | ast.Attribute(attr=name):
            return name.rpartition(".")[2] in INTEGERS
    return False


def _division(source: Source, node: ast.expr, depth: int = 4) -> ast.BinOp | None:
    """The division by something else than a count that an expression ends in."""
    match node:
        case _ if depth == 0:
            return None
        case ast.Name() | ast.Attribute():
            told = (_division(source, v, depth - 1) for v in source.values(node) if v is not node)
            return next((d for d in told if d is not None), None)
        case ast.Call(func=ast.Attribute(attr=attr), args=[given, *_]) if attr in MAKERS and not _cast(node):
            return _division(source, given, depth - 1)
        case ast.Call(func=ast.Attribute(value=owner, attr=attr)) if attr not in ("round", "floor", "rint"):
            return _division(source, owner, depth - 1)
        case ast.BinOp(left=left, op=op):
            behind = isinstance(op, ast.Sub)
            return node if isinstance(op, ast.Div) else _division(source, left, depth - 1) if behind else None
    return None


def _stored(source: Source) -> Iterator[ast.expr]:
    """`out = np.zeros(shape, dtype=np.uint8)` into which `out[i] = x / 255` is written."""
    for statement in source.all(ast.Assign):
        match statement:
            case ast.Assign(targets=[ast.Subscript(value=ast.Name() as out), *_], value=value):
                if _division(source, value) is not None:
                    yield from (v for v in source.values(out) if isinstance(v, ast.Call) and _cast(v))


def _divisions(source: Source) -> Iterator[ast.expr]:
    """`images // 255`: a whole array divided; counts such as `n // batch_size` and indices are no arrays."""
    for node in source.all(ast.BinOp):
        if isinstance(node.op, ast.FloorDiv) and not _counts(source, node):
            by = source.number(node.right)
            if by is None or by >= LEAST:
                yield node


def _counts(source: Source, node: ast.BinOp) -> bool:
    """Whether a whole-number division is of a count: a number, a length, a size; or gives an index."""
    parts = (node.left, *source.meant(node.left))
    named = (n for p in parts for n in ast.walk(p) if isinstance(n, ast.Name | ast.Attribute))
    counted = any((n.id if isinstance(n, ast.Name) else n.attr) in COUNTS for n in named)
    plain = counted or any(source.number(p) is not None for p in parts)
    index = isinstance(source.page(node).parents.get(node), ast.Slice | ast.Subscript | ast.Compare)
    looped = any(b.kind == "loop" for b in source.bindings_of(node.left)) or source.loops(node) != ()
    return plain or index or looped
