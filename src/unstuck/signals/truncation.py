"""Places in the text where fractions are cut off: whole-number division, and shares that are stored as integers."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from unstuck.diagnosis.model import NotApplicable, Site
from unstuck.signals.source import Source
from unstuck.tape.model import Tape

INTEGERS = {
    *("int", "long", "short", "byte", "uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "intp", "int_"),
    *("LongTensor", "IntTensor", "ByteTensor", "u1", "i4", "i8"),
}
METHODS = {"int", "long", "short", "byte"}
MAKERS = {"array", "asarray", "tensor", "as_tensor", "zeros", "empty", "ones", "full", "zeros_like", "empty_like", "to"}
"""Calls with a dtype among their arguments."""
LEAST = 2.0
"""A whole-number division by less than this is no change of scale."""


@dataclass(frozen=True)
class Truncation:
    """Expressions that turn shares into whole numbers, most telling first (none where there is no text)."""

    sites: tuple[Site, ...]
    lines: tuple[str, ...]

    @classmethod
    def read(cls, tape: Tape) -> Truncation:
        try:
            source = Source.read(tape)
        except NotApplicable:
            return cls((), ())
        found = list(dict.fromkeys(n for n in (*_casts(source), *_stored(source), *_divisions(source))))
        return cls(tuple(source.site(n) for n in found), tuple(source.code(n).splitlines()[0] for n in found))


def _casts(source: Source) -> Iterator[ast.expr]:
    """`(x / 255).astype(np.uint8)`, `torch.tensor(x / 255, dtype=torch.long)`, `share.int()`."""
    for call in source.all(ast.Call):
        subject = _subject(call)
        if subject is not None and _cast(call) and _divided(source, subject):
            yield call


def _subject(call: ast.Call) -> ast.expr | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in METHODS | {"astype", "type", "to"} and isinstance(call.func, ast.Attribute):
        return call.func.value
    return call.args[0] if call.args and name in MAKERS | INTEGERS else None


def _cast(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in METHODS and not call.args:
        return True
    if name in INTEGERS and call.args:
        return True
    given = [*call.args, *(k.value for k in call.keywords if k.arg == "dtype")]
    return name in MAKERS | {"astype", "type"} and any(is_integer(a) for a in given)


def is_integer(node: ast.expr) -> bool:
    """Whether an argument names a type of whole numbers: np.uint8, "int32", int."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.rpartition(".")[2] in INTEGERS
    return isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).rpartition(".")[2] in INTEGERS


def _divided(source: Source, node: ast.expr, depth: int = 3) -> bool:
    """Whether an expression ends in a division by something else than a count."""
    if isinstance(node, ast.Name | ast.Attribute) and depth:
        return any(v is not node and _divided(source, v, depth - 1) for v in source.values(node))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and depth:
        return node.func.attr not in ("round", "floor", "rint") and _divided(source, node.func.value, depth - 1)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Div) or (isinstance(node.op, ast.Sub) and _divided(source, node.left, depth - 1))
    return False


def _stored(source: Source) -> Iterator[ast.expr]:
    """`out = np.zeros(shape, dtype=np.uint8)` into which `out[i] = x / 255` is written."""
    for statement in source.all(ast.Assign):
        target = statement.targets[0]
        if (
            isinstance(target, ast.Subscript)
            and isinstance(target.value, ast.Name)
            and _divided(source, statement.value)
        ):
            yield from (v for v in source.values(target.value) if isinstance(v, ast.Call) and _cast(v))


def _divisions(source: Source) -> Iterator[ast.expr]:
    """`images // 255`: a whole array divided; counts such as `n // batch_size` and indices are no arrays."""
    for node in source.all(ast.BinOp):
        if isinstance(node.op, ast.FloorDiv) and not _counts(source, node):
            by = source.number(node.right)
            if by is None or by >= LEAST:
                yield node


def _counts(source: Source, node: ast.BinOp) -> bool:
    """Whether a whole-number division is of a count: a number, a length, a size; or gives an index."""
    parts = [node.left, *source.values(node.left)]
    plain = any(isinstance(p, ast.Constant) or source.number(p) is not None for p in parts)
    measured = any(word in ast.unparse(p) for p in parts for word in ("len(", "shape", "size", "numel", "range("))
    around = source.page(node).parents.get(node)
    index = isinstance(around, ast.Slice | ast.Subscript | ast.Compare)
    looped = any(b.kind == "loop" for b in source.bindings_of(node.left)) or source.loops(node) != ()
    return plain or measured or index or looped
