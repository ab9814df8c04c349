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
from unstuck.tape.model import Tape

CARRIERS = {
    "item",
    "cpu",
    "detach",
    "numpy",
    "tolist",
    "float",
    "double",
    "int",
    "long",
    "type",
    "to",
    "clone",
    "astype",
}
"""Methods that hand on the number they are called on."""
CASTS = {"float", "int", "bool"}
WRAPPERS = {"enumerate", "tqdm", "trange", "progress_bar", "track", "iter", "list"}
"""Functions that hand on, one by one, what their first argument holds."""


@dataclass(frozen=True, eq=False)
class Total:
    """A name of one scope with everything that happens to it there."""

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
        return Total(name, scope, starts, adds, sets, self.reads(name, scope, adds))

    def reads(self, name: str, scope: Scope, adds: tuple[Binding, ...] = ()) -> tuple[ast.expr, ...]:
        """Where a name is read in a scope, the additions to it left out."""
        own = {b.statement for b in adds}
        found = (n for n in self.source.all(ast.expr, scope) if isinstance(n, ast.Name | ast.Attribute | ast.Subscript))
        loads = (n for n in found if isinstance(n.ctx, ast.Load) and ast.unparse(n) == name)
        return tuple(n for n in loads if not own.intersection(self.source.above(n)))

    # -- what is added -----------------------------------------------------------------------------------------------

    def amount(self, node: ast.expr, depth: int = 4) -> str:
        """count, share, loss, loss-sum, size, one, or "" where the form does not tell."""
        node = self.bare(node)
        if depth <= 0:
            return ""
        if isinstance(node, ast.Constant) and node.value == 1:
            return "one"
        if isinstance(node, ast.Name):
            return "loss" if self._is_backed(node) else self._named(node, depth)
        if isinstance(node, ast.BinOp):
            return self._product(node, depth)
        if isinstance(node, ast.Call):
            return self._call(node)
        return "size" if _is_shape(node) else ""

    def bare(self, node: ast.expr) -> ast.expr:
        """An expression without what only hands it on: `float(x.sum().item())` is `x.sum()`."""
        while True:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CARRIERS:
                node = node.func.value
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in CASTS and len(node.args) == 1:
                node = node.args[0]
            elif isinstance(node, ast.Attribute) and node.attr == "data":
                node = node.value
            else:
                return node

    def _named(self, node: ast.Name, depth: int) -> str:
        kinds = {self.amount(v, depth - 1) for v in self.near(node) if v is not node}
        return kinds.pop() if len(kinds) == 1 else ""

    def near(self, node: ast.expr) -> tuple[ast.expr, ...]:
        """The values of a name, those of its own loop where there are any."""
        loops = self.source.loops(node)[:1]
        bindings = [
            b for b in self.source.bindings_of(node) if b.kind == "assign" and b.value is not None and b.item < 0
        ]
        own = [b for b in bindings if self.source.loops(b.statement)[:1] == loops] or bindings
        return tuple(b.value for b in own if b.value is not None)

    def _is_backed(self, node: ast.Name) -> bool:
        owners = (b.func.value for b in self.training.backwards if isinstance(b.func, ast.Attribute))
        return any(ast.unparse(o) == node.id and self.source.scope(o) is self.source.scope(node) for o in owners)

    def _product(self, node: ast.BinOp, depth: int) -> str:
        kinds = {self.amount(node.left, depth - 1), self.amount(node.right, depth - 1)}
        return "loss-sum" if isinstance(node.op, ast.Mult) and kinds == {"loss", "size"} else ""

    def _call(self, node: ast.Call) -> str:
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        over = node.args[0] if self.source.full_name(node) and node.args else getattr(node.func, "value", None)
        if method in ("sum", "mean", "count_nonzero") and over is not None and self.is_comparison(over):
            return "share" if method == "mean" else "count"
        if ast.unparse(node.func) == "len" or method in ("size", "numel"):
            return "size"
        return self._loss(node)

    def _loss(self, node: ast.Call) -> str:
        made = [m for m in self.training.origins(node.func) if isinstance(m, ast.Call)]
        calls = [node] if self.source.full_name(node).startswith("torch.nn.functional.") else made
        names = [self.source.full_name(c) for c in calls]
        if not names or not all(
            n.startswith("torch.nn") and n.lower().endswith(("loss", "entropy", "logits")) for n in names
        ):
            return ""
        reductions = {_keyword(c, "reduction") for c in calls}
        return {"": "loss", "mean": "loss", "sum": "loss-sum"}.get(reductions.pop(), "") if len(reductions) == 1 else ""

    def is_comparison(self, node: ast.expr, depth: int = 3) -> bool:
        """Whether an expression says of each answer whether it is right: `pred == y`, `pred.eq(y)`."""
        node = self.bare(node)
        if isinstance(node, ast.Compare):
            return len(node.ops) == 1 and isinstance(node.ops[0], ast.Eq)
        if isinstance(node, ast.Call):
            return (node.func.attr if isinstance(node.func, ast.Attribute) else "") in ("eq", "equal")
        return (
            isinstance(node, ast.Name)
            and depth > 0
            and any(self.is_comparison(v, depth - 1) for v in self.near(node) if v is not node)
        )

    # -- what it is divided by ---------------------------------------------------------------------------------------

    def divisor(self, read: ast.expr) -> ast.expr | None:
        """What a total is divided by where it is read: `100 * correct / n` gives `n`; None where it is not divided."""
        inner: ast.AST = read
        for outer in self.source.above(read):
            if isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.Div):
                return outer.right if inner is outer.left else None
            scaled = isinstance(outer, ast.BinOp) and isinstance(outer.op, ast.Mult)
            if not scaled and not _hands_on(outer, inner):
                return None
            inner = outer
        return None

    def counted(self, node: ast.expr, loop: Loop) -> str:
        """What a divisor counts for totals of a loop: batches, samples, or "" where the text does not tell."""
        node = self.bare(node)
        if isinstance(node, ast.Name):
            grown = [t for t in self.all if t.name == node.id and t.scope is self.source.scope(node) and t.adds]
            if grown:
                kinds = {self.amount(b.value) for b in grown[0].adds if b.value is not None}
                return {"size": "samples", "one": "batches"}.get(kinds.pop(), "") if len(kinds) == 1 else ""
            value = self.source.value(node)
            return self.counted(value, loop) if value is not node else ""
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "len" and node.args):
            return ""
        return self._length(node.args[0], loop)

    def _length(self, node: ast.expr, loop: Loop) -> str:
        if isinstance(node, ast.Attribute) and node.attr in ("dataset", "sampler"):
            return "samples"
        if self.loaders(node):
            return "batches"
        over = iterated(loop)
        batched = over is not None and self.loaders(over)
        return "samples" if batched and self._feeds(node, batched) else ""

    def loaders(self, node: ast.expr) -> list[ast.Call]:
        """The DataLoaders that an expression may be."""
        found = (m for m in self.training.origins(node) if isinstance(m, ast.Call))
        return [m for m in found if self.source.full_name(m).endswith(".DataLoader")]

    def _feeds(self, node: ast.expr, loaders: list[ast.Call]) -> bool:
        names = {ast.unparse(node)} | {ast.unparse(m) for m in self.training.origins(node)}
        fed = (loader.args[0] if loader.args else _keyword_node(loader, "dataset") for loader in loaders)
        return any(
            names & ({ast.unparse(f)} | {ast.unparse(m) for m in self.training.origins(f)})
            for f in fed
            if f is not None
        )

    def batched(self, loop: Loop) -> bool:
        """Whether a loop goes over batches of more than one sample, for certain."""
        over = iterated(loop)
        loaders = self.loaders(over) if over is not None else []
        sizes = [c.args[1] if len(c.args) > 1 else _keyword_node(c, "batch_size") for c in loaders]
        numbers = [self.source.number(s) if s is not None else 1 for s in sizes]
        unsure = any(isinstance(s, ast.Constant) and s.value is None for s in sizes)
        return bool(loaders) and not unsure and all(n is None or n > 1 for n in numbers)


def iterated(loop: Loop) -> ast.expr | None:
    """What a loop goes over, without enumerate, tqdm and their like."""
    over = loop.iter if isinstance(loop, ast.For | ast.AsyncFor) else None
    while isinstance(over, ast.Call) and over.args and ast.unparse(over.func).rpartition(".")[2] in WRAPPERS:
        over = over.args[0]
    return over


def _starts(b: Binding) -> bool:
    return (
        b.kind == "assign"
        and b.item < 0
        and isinstance(b.value, ast.Constant)
        and b.value.value in (0, 0.0)
        and b.value.value is not False
    )


def _adds_itself(b: Binding) -> bool:
    value = b.value if b.kind == "assign" and b.item < 0 else None
    return isinstance(value, ast.BinOp) and any(
        isinstance(n, ast.expr) and ast.unparse(n) == b.name for n in ast.walk(value)
    )


def _hands_on(outer: ast.AST, inner: ast.AST) -> bool:
    if isinstance(outer, ast.Attribute):
        return outer.attr in CARRIERS or outer.attr == "data"
    cast = isinstance(outer, ast.Call) and ast.unparse(outer.func) in CASTS and outer.args == [inner]
    return cast or (isinstance(outer, ast.Call) and outer.func is inner)


def _is_shape(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "shape"


def _keyword_node(call: ast.Call, name: str) -> ast.expr | None:
    return next((k.value for k in call.keywords if k.arg == name), None)


def _keyword(call: ast.Call, name: str) -> str:
    node = _keyword_node(call, name)
    return "" if node is None else str(node.value) if isinstance(node, ast.Constant) else "?"


def loops_between(source: Source, node: ast.AST, outer: ast.AST) -> Iterator[Loop]:
    """The loops around a node that stand within another node."""
    return (loop for loop in source.loops(node) if source.inside(loop, outer) and loop is not outer)
