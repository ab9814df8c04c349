"""What the program adds up, and what it divides the sums by.

A total is a name that starts at zero and grows in a loop. What is added is told apart by its form: a count of right
answers, the mean of one batch, a loss, a number of samples, one per batch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from unstuck.signals.source import Binding, Loop, Scope, Source
from unstuck.signals.training import Training
from unstuck.tape import ops
from unstuck.tape.model import Tape

CARRIERS = ops.names(lambda op: op.hands_on == "all") | {"astype"}
"""Methods and attributes that hand on the number they are asked of."""
CASTS = {"float", "int", "bool"}
WRAPPERS = {"enumerate", "tqdm", "trange", "progress_bar", "track", "iter", "list"}
"""Functions that hand on, one by one, what their first argument holds."""


@dataclass(frozen=True, eq=False)
class Total:
    """A variable with everything that happens to it."""

    name: str
    scope: Scope
    starts: tuple[Binding, ...]
    adds: tuple[Binding, ...]
    sets: tuple[Binding, ...]
    """Assignments that are neither a start at zero nor an addition to itself."""
    reads: tuple[ast.expr, ...]
    """Where it is read, its own additions left out."""


class Totals:
    """The sums of a program."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.training = source.once(Training)

    @classmethod
    def read(cls, tape: Tape) -> Totals:
        """Of the texts on a tape."""
        return Source.read(tape).once(cls)

    @cached_property
    def all(self) -> tuple[Total, ...]:
        """Every name that starts at a number or is added to, scope by scope."""
        names = dict.fromkeys((b.scope, b.name) for b in self.source.bindings if _starts(b) or b.kind == "add")
        return tuple(self._total(scope, name) for scope, name in names)

    def _total(self, scope: Scope, name: str) -> Total:
        bound = self.source.bound(name, scope)
        adds = tuple(b for b in bound if b.kind == "add" or _adds_itself(b))
        starts = tuple(b for b in bound if _starts(b))
        sets = tuple(b for b in bound if b not in adds and b not in starts)
        own = {b.statement for b in adds}
        reads = (n for n in self._reads.get((scope, name), ()) if not own.intersection(self.source.above(n)))
        return Total(name, scope, starts, adds, sets, tuple(reads))

    @cached_property
    def _reads(self) -> dict[tuple[Scope, str], list[ast.expr]]:
        read: dict[tuple[Scope, str], list[ast.expr]] = {}
        for node in self.source.all(ast.expr):
            loaded = isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Load)
            if loaded and (place := self.source.local(node)) is not None:
                read.setdefault(place, []).append(node)
        return read

    # -- what is added -----------------------------------------------------------------------------------------------

    def amount(self, node: ast.expr, depth: int = 4) -> str:
        """count, share, loss, loss-sum, size, one, or "" where the form does not tell."""
        match node := bare(node):
            case _ if depth <= 0:
                return ""
            case ast.Constant(value=1):
                return "one"
            case ast.Name():
                return "loss" if self._is_backed(node) else _one({self.amount(v, depth - 1) for v in self.near(node)})
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return "loss-sum" if {self.amount(p, depth - 1) for p in (left, right)} == {"loss", "size"} else ""
            case ast.Call():
                return self._call(node)
            case ast.Subscript(value=ast.Attribute(attr="shape")):
                return "size"
        return ""

    def near(self, node: ast.expr) -> tuple[ast.expr, ...]:
        """The values of a name, those of its own loop where there are any."""
        loops = self.source.loops(node)[:1]
        given = [b for b in self.source.bindings_of(node) if b.kind == "assign" and b.item < 0]
        own = [b for b in given if self.source.loops(b.statement)[:1] == loops] or given
        return tuple(b.value for b in own if b.value is not None and b.value is not node)

    def _is_backed(self, node: ast.Name) -> bool:
        owners = (b.func.value for b in self.training.backwards if isinstance(b.func, ast.Attribute))
        return any(isinstance(o, ast.Name) and self.source.variable(o) == self.source.variable(node) for o in owners)

    def _call(self, node: ast.Call) -> str:
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        over = node.args[0] if self.source.full_name(node) and node.args else getattr(node.func, "value", None)
        if method in ("sum", "mean", "count_nonzero") and over is not None and self.is_comparison(over):
            return "share" if method == "mean" else "count"
        if _is_length(node) or method in ("size", "numel"):
            return "size"
        return self._loss(node)

    def _loss(self, node: ast.Call) -> str:
        made = [m for m in self.training.origins(node.func) if isinstance(m, ast.Call)]
        calls = [node] if self.source.full_name(node).startswith("torch.nn.functional.") else made
        names = [self.source.full_name(c) for c in calls]
        if not all(n.startswith("torch.nn") and n.lower().endswith(("loss", "entropy", "logits")) for n in names):
            return ""
        given = (keyword(c, "reduction") for c in calls)
        reductions = {"mean" if r is None else str(r.value) if isinstance(r, ast.Constant) else "" for r in given}
        return {"mean": "loss", "sum": "loss-sum"}.get(_one(reductions), "")

    def is_comparison(self, node: ast.expr, depth: int = 3) -> bool:
        """Whether an expression says of each answer whether it is right: `pred == y`, `pred.eq(y)`."""
        match node := bare(node):
            case ast.Compare(ops=[ast.Eq()]) | ast.Call(func=ast.Attribute(attr="eq" | "equal")):
                return True
            case ast.Name():
                return depth > 0 and any(self.is_comparison(v, depth - 1) for v in self.near(node))
        return False

    # -- what it is divided by ---------------------------------------------------------------------------------------

    def divisor(self, read: ast.expr) -> ast.expr | None:
        """What a total is divided by where it is read: `100 * correct / n` gives `n`; None where it is not divided."""
        inner: ast.AST = read
        for outer in self.source.above(read):
            match outer:
                case ast.BinOp(left=left, op=ast.Div(), right=right):
                    return right if inner is left else None
                case ast.BinOp(op=ast.Mult()):
                    pass
                case ast.Attribute(attr=attr) if attr in CARRIERS:
                    pass
                case ast.Call(func=func, args=args) if func is inner or (args == [inner] and _is_cast(func)):
                    pass
                case _:
                    return None
            inner = outer
        return None

    def counted(self, node: ast.expr, loop: Loop) -> str:
        """What a divisor counts for totals of a loop: batches, samples, or "" where the text does not tell."""
        match node := bare(node):
            case ast.Name():
                own = self.source.local(node)
                for total in (t for t in self.all if t.adds and (t.scope, t.name) == own):
                    kinds = {self.amount(b.value) for b in total.adds if b.value is not None}
                    return {"size": "samples", "one": "batches"}.get(_one(kinds), "")
                value = self.source.value(node)
                return self.counted(value, loop) if value is not node else ""
            case ast.Call(args=[inner, *_]) if _is_length(node):
                return self._length(inner, loop)
        return ""

    def _length(self, node: ast.expr, loop: Loop) -> str:
        if isinstance(node, ast.Attribute) and node.attr in ("dataset", "sampler"):
            return "samples"
        if self.loaders(node):
            return "batches"
        over = iterated(loop)
        fed = (c.args[0] if c.args else keyword(c, "dataset") for c in (self.loaders(over) if over is not None else ()))
        return "samples" if any(self._alike(node, f) for f in fed if f is not None) else ""

    def _alike(self, one: ast.expr, other: ast.expr) -> bool:
        """Whether two expressions hold the same thing."""
        known = {self.source.variable(one)} & {self.source.variable(other)} - {None}
        return bool(known or {*self.training.origins(one)} & {*self.training.origins(other)})

    def loaders(self, node: ast.expr) -> list[ast.Call]:
        """The DataLoaders that an expression may be."""
        found = (m for m in self.training.origins(node) if isinstance(m, ast.Call))
        return [m for m in found if self.source.full_name(m).endswith(".DataLoader")]

    def batched(self, loop: Loop) -> bool:
        """Whether a loop goes over batches of more than one sample, for certain."""
        over = iterated(loop)
        loaders = self.loaders(over) if over is not None else []
        sizes = [c.args[1] if len(c.args) > 1 else keyword(c, "batch_size") for c in loaders]
        sure = not any(isinstance(s, ast.Constant) and s.value is None for s in sizes)
        numbers = [self.source.number(s) if s is not None else 1 for s in sizes]
        return bool(loaders) and sure and all(n is None or n > 1 for n in numbers)


def bare(node: ast.expr) -> ast.expr:
    """An expression without what only hands it on: `float(x.sum().item())` is `x.sum()`."""
    match node:
        case ast.Call(func=ast.Attribute(value=inner, attr=attr)) | ast.Attribute(value=inner, attr="data" as attr):
            return bare(inner) if attr in CARRIERS else node
        case ast.Call(func=func, args=[inner]) if _is_cast(func):
            return bare(inner)
    return node


def iterated(loop: Loop) -> ast.expr | None:
    """What a loop goes over, without enumerate, tqdm and their like."""
    over = loop.iter if isinstance(loop, ast.For | ast.AsyncFor) else None
    while isinstance(over, ast.Call) and over.args and ast.unparse(over.func).rpartition(".")[2] in WRAPPERS:
        over = over.args[0]
    return over


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """What a call is given for a keyword."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def loops_between(source: Source, node: ast.AST, outer: ast.AST) -> Iterator[Loop]:
    """The loops around a node that stand within another node."""
    return (loop for loop in source.loops(node) if source.inside(loop, outer) and loop is not outer)


def _one(kinds: set[str]) -> str:
    """What all of them are; "" where they differ."""
    return next(iter(kinds)) if len(kinds) == 1 else ""


def _is_cast(func: ast.expr) -> bool:
    return isinstance(func, ast.Name) and func.id in CASTS


def _is_length(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == "len"


def _starts(b: Binding) -> bool:
    zero = isinstance(b.value, ast.Constant) and b.value.value == 0 and b.value.value is not False
    return b.kind == "assign" and b.item < 0 and zero


def _adds_itself(b: Binding) -> bool:
    value = b.value if b.kind == "assign" and b.item < 0 else None
    parts = (n for n in ast.walk(value) if isinstance(n, ast.expr)) if isinstance(value, ast.BinOp) else ()
    return any(ast.unparse(n) == b.name for n in parts)
